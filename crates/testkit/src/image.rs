//! Container images made from seeds: the same digests on every run, of any size, as OCI layouts on disk.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::content::Content;

const MIB: u64 = 1 << 20;
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What a layer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Bytes of its files together.
    pub bytes: u64,
    /// How many files share them.
    pub files: u64,
    /// Whether the layer is compressed.
    pub gzip: bool,
}

/// One blob of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blob {
    /// What it is.
    pub media_type: &'static str,
    /// Its name: `sha256:<hex>`.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
}

/// An image in a directory of its own, gone when dropped.
#[derive(Debug)]
pub struct Image {
    dir: TempDir,
    manifest: Blob,
    config: Blob,
    layers: Vec<Blob>,
}

impl Image {
    /// One layer of 64 KiB.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn tiny(seed: u64) -> Result<Self> {
        Self::create(
            seed,
            &[Layer {
                bytes: 64 * 1024,
                files: 3,
                gzip: true,
            }],
        )
    }

    /// Five layers of 64 MiB together, from 1 MiB to 32 MiB, compressed and not.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn five_layers(seed: u64) -> Result<Self> {
        let sizes = [
            (1, 12, true),
            (4, 40, true),
            (7, 9, false),
            (20, 25, true),
            (32, 1, false),
        ];
        let layers = sizes.map(|(mib, files, gzip)| Layer {
            bytes: mib * MIB,
            files,
            gzip,
        });
        Self::create(seed, &layers)
    }

    /// One layer of 500 MiB.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn one_large_layer(seed: u64) -> Result<Self> {
        Self::create(
            seed,
            &[Layer {
                bytes: 500 * MIB,
                files: 20,
                gzip: false,
            }],
        )
    }

    /// An image of these layers.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn create(seed: u64, layers: &[Layer]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("testkit-image-").tempdir()?;
        std::fs::create_dir_all(dir.path().join("blobs/sha256"))?;
        std::fs::write(
            dir.path().join("oci-layout"),
            json!({ "imageLayoutVersion": "1.0.0" }).to_string(),
        )?;
        let mut blobs = Vec::new();
        let mut diff_ids = Vec::new();
        for (number, layer) in layers.iter().enumerate() {
            let (blob, diff_id) = write_layer(dir.path(), seed, number as u64, *layer)?;
            blobs.push(blob);
            diff_ids.push(diff_id);
        }
        let config = json!({
            "architecture": architecture(), "os": "linux", "created": "2024-01-01T00:00:00Z",
            "config": { "Cmd": ["/data"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = write_blob(dir.path(), CONFIG, config.to_string().as_bytes())?;
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": blobs });
        let manifest = write_blob(dir.path(), MANIFEST, manifest.to_string().as_bytes())?;
        let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
        std::fs::write(dir.path().join("index.json"), index.to_string())?;
        Ok(Self {
            dir,
            manifest,
            config,
            layers: blobs,
        })
    }

    /// The directory with the OCI layout.
    #[must_use]
    pub fn layout(&self) -> &Path {
        self.dir.path()
    }

    /// The manifest, whose digest is the image's.
    #[must_use]
    pub fn manifest(&self) -> &Blob {
        &self.manifest
    }

    /// What a runtime fetches as blobs: the configuration and the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.config).chain(&self.layers)
    }

    /// Opens a blob.
    ///
    /// # Errors
    /// When the image has no such blob.
    pub fn open(&self, digest: &str) -> Result<File> {
        let hex = digest
            .strip_prefix("sha256:")
            .context("blobs are named by their SHA-256")?;
        File::open(blob_path(self.layout(), hex)).with_context(|| format!("opening {digest}"))
    }

    /// The blob with the most bytes.
    #[must_use]
    pub fn largest(&self) -> &Blob {
        self.blobs().max_by_key(|blob| blob.size).unwrap_or(&self.config)
    }
}

/// Writes the tar of a layer and returns it with the digest of what is in it before compression.
fn write_layer(dir: &Path, seed: u64, number: u64, layer: Layer) -> Result<(Blob, String)> {
    let path = dir.join("blobs/layer");
    let blob = Hashing::new(BufWriter::with_capacity(1 << 20, File::create(&path)?));
    let (blob, diff_id, media_type) = if layer.gzip {
        // Without a time stamp, and with fixed settings, so that the digest is the same on every run.
        let zipped = Hashing::new(GzBuilder::new().mtime(0).write(blob, Compression::fast()));
        let (zipped, diff_id, _) = write_tar(zipped, seed, number, layer)?.finish();
        (zipped.finish()?, diff_id, LAYER_GZIP)
    } else {
        let (blob, diff_id, _) = write_tar(Hashing::new(blob), seed, number, layer)?.finish();
        (blob, diff_id, LAYER)
    };
    let (mut file, hex, size) = blob.finish();
    file.flush()?;
    std::fs::rename(&path, blob_path(dir, &hex))?;
    Ok((
        Blob {
            media_type,
            digest: format!("sha256:{hex}"),
            size,
        },
        format!("sha256:{diff_id}"),
    ))
}

fn write_tar<W: Write>(to: W, seed: u64, number: u64, layer: Layer) -> Result<W> {
    let mut tar = tar::Builder::new(to);
    let header = |kind, mode, size| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_704_067_200);
        header.set_size(size);
        header
    };
    let directory = format!("data/{number}");
    for path in ["data", &directory] {
        tar.append_data(&mut header(tar::EntryType::Directory, 0o755, 0), path, std::io::empty())?;
    }
    let each = layer.bytes / layer.files.max(1);
    for file in 0..layer.files {
        let size = if file == 0 {
            layer.bytes - each * (layer.files - 1)
        } else {
            each
        };
        // Every file of every layer of every image has bytes of its own.
        let content = Content::new(seed ^ (number << 40) ^ (file << 20), size);
        let path = format!("{directory}/{file}");
        tar.append_data(
            &mut header(tar::EntryType::Regular, 0o644, size),
            path,
            content.reader(),
        )?;
    }
    tar.into_inner().context("ending a tar")
}

fn write_blob(dir: &Path, media_type: &'static str, bytes: &[u8]) -> Result<Blob> {
    let hex = hex::encode(Sha256::digest(bytes));
    std::fs::write(blob_path(dir, &hex), bytes)?;
    Ok(Blob {
        media_type,
        digest: format!("sha256:{hex}"),
        size: bytes.len() as u64,
    })
}

fn blob_path(dir: &Path, hex: &str) -> PathBuf {
    dir.join("blobs/sha256").join(hex)
}

/// This machine's architecture in the words of images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Passes bytes on and remembers their digest and length.
struct Hashing<W> {
    to: W,
    hash: Sha256,
    length: u64,
}

impl<W: Write> Hashing<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            hash: Sha256::new(),
            length: 0,
        }
    }

    fn finish(self) -> (W, String, u64) {
        (self.to, hex::encode(self.hash.finalize()), self.length)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_the_same_on_every_run_and_its_blobs_are_what_their_names_say() {
        let layers = [
            Layer {
                bytes: 300_000,
                files: 7,
                gzip: true,
            },
            Layer {
                bytes: 5,
                files: 1,
                gzip: false,
            },
        ];
        let image = Image::create(3, &layers).unwrap();
        assert_eq!(image.manifest(), Image::create(3, &layers).unwrap().manifest());
        assert_ne!(image.manifest(), Image::create(4, &layers).unwrap().manifest());
        assert_eq!(image.blobs().count(), 3);
        for blob in image.blobs().chain([image.manifest()]) {
            let (hex, size) = crate::content::sha256_of(image.open(&blob.digest).unwrap()).unwrap();
            assert_eq!((format!("sha256:{hex}"), size), (blob.digest.clone(), blob.size));
        }
        assert!(image.largest().size > 300_000);
    }
}
