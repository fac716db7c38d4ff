//! The types of asynchronous resources. Mirrors `NODE_ASYNC_PROVIDER_TYPES` (`src/async_wrap.h`) and the type names
//! that Node's JavaScript gives to its own resources.

use std::fmt;

/// The type of an asynchronous resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "each is Node's type of its name; see `name`")]
#[non_exhaustive]
pub enum Provider {
    #[default]
    None,
    FsReqCallback,
    FsReqPromise,
    GetAddrInfoReqWrap,
    GetNameInfoReqWrap,
    HttpClientRequest,
    HttpIncomingMessage,
    Immediate,
    Microtask,
    PipeConnectWrap,
    PipeServerWrap,
    PipeWrap,
    ProcessWrap,
    Promise,
    QueuedRequest,
    ShutdownWrap,
    SignalWrap,
    TcpConnectWrap,
    TcpServerWrap,
    TcpWrap,
    TickObject,
    Timeout,
    TtyWrap,
    UdpSendWrap,
    UdpWrap,
    WriteWrap,
    /// A resource type of the program, by its name (`new AsyncResource(type)`): `Provider::Custom(&"DBQUERY")`. It is a
    /// reference to the name because that makes contexts, which every callback gets, smaller.
    Custom(&'static &'static str),
}

impl Provider {
    /// Node's name of the type, such as `"TCPSERVERWRAP"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::FsReqCallback => "FSREQCALLBACK",
            Self::FsReqPromise => "FSREQPROMISE",
            Self::GetAddrInfoReqWrap => "GETADDRINFOREQWRAP",
            Self::GetNameInfoReqWrap => "GETNAMEINFOREQWRAP",
            Self::HttpClientRequest => "HTTPCLIENTREQUEST",
            Self::HttpIncomingMessage => "HTTPINCOMINGMESSAGE",
            Self::Immediate => "Immediate",
            Self::Microtask => "Microtask",
            Self::PipeConnectWrap => "PIPECONNECTWRAP",
            Self::PipeServerWrap => "PIPESERVERWRAP",
            Self::PipeWrap => "PIPEWRAP",
            Self::ProcessWrap => "PROCESSWRAP",
            Self::Promise => "PROMISE",
            Self::QueuedRequest => "QueuedRequest",
            Self::ShutdownWrap => "SHUTDOWNWRAP",
            Self::SignalWrap => "SIGNALWRAP",
            Self::TcpConnectWrap => "TCPCONNECTWRAP",
            Self::TcpServerWrap => "TCPSERVERWRAP",
            Self::TcpWrap => "TCPWRAP",
            Self::TickObject => "TickObject",
            Self::Timeout => "Timeout",
            Self::TtyWrap => "TTYWRAP",
            Self::UdpSendWrap => "UDPSENDWRAP",
            Self::UdpWrap => "UDPWRAP",
            Self::WriteWrap => "WRITEWRAP",
            Self::Custom(name) => name,
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
