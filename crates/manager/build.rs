//! Has the room built again when the console was: its files are in the binary.

fn main() {
    // The folder is in the repository, its content is not: a folder that is not there would have this run each time.
    println!("cargo::rerun-if-changed=../../console/dist");
}
