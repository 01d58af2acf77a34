//! The wire codec against three judges: Kafka's own schemas, the `kafka-protocol` crate, and hostile bytes.
//!
//! One binary, since compiling the crate's generated code is what takes the time.

// `cfg(test)` tells clippy that the helpers are tests too.
#[cfg(test)]
mod wire {
    mod counting;
    mod differential;
    mod frames;
    mod generate;
    mod hostile;
    mod schema;
}
