//! The kubelet's way into containerd, as far as pulling goes: one call of `runtime.v1.ImageService`.

use std::path::Path;

use anyhow::{Context, Result};
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, prost::Message)]
struct PullImageRequest {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PullImageResponse {
    #[prost(string, tag = "1")]
    image_ref: String,
}

/// Has containerd pull an image; returns its id, which is its configuration's digest.
pub(super) async fn pull(socket: &Path, image: &str) -> Result<String> {
    let channel = Endpoint::from_shared(format!("unix://{}", socket.display()))?
        .connect()
        .await?;
    let mut service = Grpc::new(channel);
    service.ready().await?;
    let request = PullImageRequest {
        image: Some(ImageSpec {
            image: image.to_owned(),
        }),
    };
    let path = PathAndQuery::from_static("/runtime.v1.ImageService/PullImage");
    let codec = ProstCodec::<PullImageRequest, PullImageResponse>::default();
    let answer = service.unary(tonic::Request::new(request), path, codec).await;
    let answer = answer.with_context(|| format!("pulling {image}"))?;
    Ok(answer.into_inner().image_ref)
}
