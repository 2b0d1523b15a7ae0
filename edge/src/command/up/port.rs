//! Free ports of the loopback address.

use crate::error::Error;
use std::net::{Ipv4Addr, TcpListener};

/// The first of `wanted` that is free, else one that the kernel chooses.
pub fn free(wanted: &[u16]) -> Result<u16, Error> {
    let preferred = wanted.iter().copied().find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    match preferred {
        Some(port) => Ok(port),
        None => Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port()),
    }
}
