//! The calls of `scheduler.v2` that are not served: each says so.

use tonic::Status;

/// What a caller of such a call is told.
pub(super) fn refusal(name: &str) -> Status {
    Status::unimplemented(format!(
        "this scheduler does not serve {name}; it serves standard tasks and kept ones"
    ))
}

/// Declares such calls inside an `impl` under `#[tonic::async_trait]`, in the form into which that attribute would turn
/// them, since it does not see what a macro expands to.
macro_rules! unserved {
    ($($name:ident($request:ty) -> $response:ty;)*) => {
        $(fn $name<'life0, 'async_trait>(
            &'life0 self,
            _request: ::tonic::Request<$request>,
        ) -> ::std::pin::Pin<Box<
            dyn ::std::future::Future<Output = Result<::tonic::Response<$response>, ::tonic::Status>>
                + Send
                + 'async_trait,
        >>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(::std::future::ready(Err($crate::grpc::unserved::refusal(stringify!($name)))))
        })*
    };
}

pub(super) use unserved;
