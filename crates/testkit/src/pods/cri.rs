//! The kubelet's way into containerd, as far as pulling goes: two calls of `runtime.v1.ImageService`.

use std::path::Path;

use anyhow::{Context, Result};
use http::uri::PathAndQuery;
use tonic::Request;
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

/// A question without words, and an answer that nobody reads.
#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

/// An error until containerd pulls for kubelets: its socket may be there before that.
pub(super) async fn ready(socket: &Path) -> Result<()> {
    call::<Nothing, Nothing>(socket, "ListImages", Nothing {}).await?;
    Ok(())
}

/// Has containerd pull an image; returns its id, which is its configuration's digest.
pub(super) async fn pull(socket: &Path, image: &str) -> Result<String> {
    let request = PullImageRequest {
        image: Some(ImageSpec {
            image: image.to_owned(),
        }),
    };
    let answer = call::<_, PullImageResponse>(socket, "PullImage", request).await;
    Ok(answer.with_context(|| format!("pulling {image}"))?.image_ref)
}

async fn call<Q, A>(socket: &Path, method: &str, request: Q) -> Result<A>
where
    Q: prost::Message + 'static,
    A: prost::Message + Default + 'static,
{
    let channel = Endpoint::from_shared(format!("unix://{}", socket.display()))?
        .connect()
        .await?;
    let mut service = Grpc::new(channel);
    service.ready().await?;
    let path = PathAndQuery::try_from(format!("/runtime.v1.ImageService/{method}"))?;
    let answer = service.unary(Request::new(request), path, ProstCodec::<Q, A>::default());
    Ok(answer.await?.into_inner())
}
