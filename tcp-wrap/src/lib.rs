//! TCPWrap and PipeWrap: streams that report what a write did at once.
