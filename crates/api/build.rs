//! Compiles the .proto files in pure Rust: a fresh machine has no `protoc`.

use std::path::PathBuf;

const FILES: &[&str] = &[
    "common.proto",
    "errordetails.proto",
    "dfdaemon.proto",
    "manager.proto",
    "scheduler.proto",
    "ext.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out.join("descriptor.bin"), prost_encode(&descriptors))?;
    tonic_prost_build::configure()
        .build_transport(true)
        .compile_fds(descriptors)?;
    Ok(())
}

fn prost_encode(descriptors: &prost_types::FileDescriptorSet) -> Vec<u8> {
    prost::Message::encode_to_vec(descriptors)
}
