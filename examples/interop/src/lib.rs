//! Libraries of the ecosystem on the loop: a program for each in `src/bin`.
