//! The description of the API, OpenAPI 3.1. A handler says what is its own: path, parameters, bodies, refusals. This file
//! adds what follows from where the handler stands: what the guard and the extractors answer, who may call, the tag (the
//! kind of object to which a right is needed) and the id of the operation.

pub(super) mod values;

use super::guard::{self, Rule};
use super::{api, open_api, outside, traces};
use crate::users::{Action, tokens_open};
use dragonfly_api::rest::{AddressSought, Errors, Message};
use http::Method;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder, Responses};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, ServerBuilder,
};
use utoipa::{PartialSchema, ToSchema};

/// Of the API; that of the program is nobody's business who has not signed in.
const VERSION: &str = "1.0.0";

const DESCRIPTION: &str = "The manager keeps what an operator decides: clusters, their members, settings, users and their \
    rights. Paths, field names and status codes are those of Dragonfly 2.5. Times are RFC 3339 in UTC, durations nanoseconds. \
    A path that does not exist is 404, a method that a path does not know 405, both with a message.";

/// Kinds of objects and what they are.
const TAGS: &[(&str, &str)] = &[
    ("clusters", "Clusters: which peers they serve, and how"),
    ("scheduler-clusters", "The scheduler halves of clusters"),
    ("seed-peer-clusters", "The seed peer halves of clusters"),
    ("schedulers", "Schedulers, registered by themselves or by hand"),
    ("seed-peers", "Seed peers, registered by themselves or by hand"),
    ("peers", "Peers, as the schedulers of their clusters report them"),
    (
        "persistent-tasks",
        "Tasks that are kept with replicas, and in an object store",
    ),
    (
        "persistent-cache-tasks",
        "Tasks that are kept with replicas in their cluster",
    ),
    ("jobs", "Jobs: what schedulers are asked to do, and what came of it"),
    ("users", "Users, signing in and out, their sessions and roles"),
    ("oauth", "Identity providers by which people sign in"),
    ("session", "The session that a request carries"),
    ("roles", "Roles, which bundle rights"),
    ("permissions", "The rights that there are"),
    ("personal-access-tokens", "Tokens by which scripts act for a user"),
    ("audits", "What was done, by whom"),
    ("events", "Which kinds of objects have changed"),
    ("applications", "Applications and the priorities of their downloads"),
    ("configs", "Settings that are changed while the manager runs"),
    ("scheduler-features", "What schedulers can be made for"),
    (
        "traces",
        "Traces, taken in the form of OTLP and shown in that of Jaeger",
    ),
    ("openapi.json", "This description"),
    ("swagger", "This description, for people at `/swagger/`"),
    ("healthy", "Whether the manager can do its work"),
];

/// What stands before the guard of traces.
const TRACES: [&str; 2] = ["/v1", "/jaeger/api"];

const COOKIE: &str = "cookie";
const SESSION: &str = "session";
const TOKEN: &str = "personal_access_token";

/// The document, as it is served and committed.
pub(crate) fn document() -> String {
    let mut document = serde_json::to_value(description()).expect("strings are the keys of all its maps");
    values::complete(&mut document);
    format!("{document:#}\n")
}

/// The description of all routes.
fn description() -> OpenApi {
    let mut whole = OpenApi::default()
        .nest("/api/v1", api(|_, routes| routes).into_openapi())
        .nest("/oapi/v1", open_api().into_openapi())
        .nest("/v1", traces::received().into_openapi())
        .nest("/jaeger/api", traces::found().into_openapi());
    whole.merge(outside().into_openapi());
    whole.info = InfoBuilder::new()
        .title("Dragonfly Manager")
        .version(VERSION)
        .description(Some(DESCRIPTION))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build();
    whole.servers = Some(vec![ServerBuilder::new().url("/").build()]);
    for (path, item) in &mut whole.paths.paths {
        for (method, operation) in operations(item) {
            complete(path, &method, operation);
        }
    }
    let used = |tag: &str| whole.paths.paths.keys().any(|path| place(path).1 == tag);
    let tags = TAGS.iter().filter(|(tag, _)| used(tag));
    whole.tags = Some(
        tags.map(|(tag, what)| TagBuilder::new().name(*tag).description(Some(*what)).build())
            .collect(),
    );
    common(whole.components.get_or_insert_default());
    whole
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Where a path stands: before whose guard, and which kind of object it is about.
fn place(path: &str) -> (&str, &str) {
    if let Some(guarded) = TRACES.into_iter().find(|prefix| path.starts_with(prefix)) {
        return (guarded, "traces");
    }
    let (guarded, rest) = ["/api/v1", "/oapi/v1"]
        .into_iter()
        .find_map(|prefix| Some((prefix, path.strip_prefix(prefix)?)))
        .unwrap_or(("", path));
    let object = rest.trim_start_matches('/').split('/').next().unwrap_or_default();
    (guarded, object)
}

fn complete(path: &str, method: &Method, operation: &mut Operation) {
    let (guarded, object) = place(path);
    let own = operation.operation_id.take().unwrap_or_default();
    let word = object.replace(['-', '.'], "_");
    operation.operation_id = Some(match guarded {
        "/oapi/v1" => format!("open_{word}_{own}"),
        "" => own,
        _ => format!("{word}_{own}"),
    });
    operation.tags = Some(vec![object.to_owned()]);
    // A rule asks of some segments whether they are an id.
    let segments = path.strip_prefix(guarded).unwrap_or(path).split('/');
    let filled: Vec<&str> = segments
        .map(|segment| if segment.starts_with('{') { "1" } else { segment })
        .collect();
    let filled = filled.join("/");
    let rule = match guarded {
        "" => Rule::Open,
        _ if TRACES.contains(&guarded) => guard::rule_of_traces(method),
        _ => guard::rule(method, &filled),
    };
    who(rule, operation);
    refusals(operation);
    if has_parameter(operation, &ParameterIn::Query, Some("page")) {
        page_headers(&mut operation.responses);
    }
}

/// Who may call, and what the guard answers others.
fn who(rule: Rule<'_>, operation: &mut Operation) {
    let (schemes, refusal): (&[&str], String) = match rule {
        Rule::Open => {
            operation.security = Some(Vec::new());
            return;
        }
        Rule::Session => (&[COOKIE, SESSION], "It takes a session, and no token does".to_owned()),
        Rule::Own => (&[COOKIE, SESSION], "It takes a session, and no token does".to_owned()),
        Rule::Oneself(_, action) => (
            &[COOKIE, SESSION],
            beyond("users", action) + ", and the user is another one",
        ),
        Rule::Right(object, action) if tokens_open(object) => (&[COOKIE, SESSION, TOKEN], beyond(object, action)),
        Rule::Right(object, action) => (&[COOKIE, SESSION], beyond(object, action)),
    };
    let requirement = |scheme: &&str| SecurityRequirement::new(*scheme, Vec::<String>::new());
    operation.security = Some(schemes.iter().map(requirement).collect());
    let responses = &mut operation.responses.responses;
    responses.insert("401".to_owned(), shared("Unauthorized"));
    let own = match responses.get("403") {
        Some(RefOr::T(own)) => format!(". {}", own.description),
        _ => String::new(),
    };
    let refused = message(format!(
        "{refusal}{own}. A session that may only set another password: `password_change_required`"
    ));
    responses.insert("403".to_owned(), refused.into());
}

fn beyond(object: &str, action: Action) -> String {
    let needed = match action {
        Action::Read => "`read` or `*`",
        Action::Write => "`*`",
    };
    format!("The caller lacks the right {needed} to `{object}`")
}

/// What the extractors answer, and the frame around all.
fn refusals(operation: &mut Operation) {
    let mut refusals = vec![("500", "Failure"), ("503", "Unavailable")];
    if has_parameter(operation, &ParameterIn::Path, None) {
        refusals.push(("404", "NotFound"));
    }
    if has_parameter(operation, &ParameterIn::Query, None) {
        refusals.push(("422", "Unprocessable"));
    }
    if operation.request_body.is_some() {
        refusals.extend([("400", "BadRequest"), ("413", "TooLarge"), ("422", "Unprocessable")]);
    }
    let responses = &mut operation.responses.responses;
    for (status, response) in refusals {
        responses.entry(status.to_owned()).or_insert_with(|| shared(response));
    }
}

fn has_parameter(operation: &Operation, place: &ParameterIn, name: Option<&str>) -> bool {
    operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == *place && name.is_none_or(|name| parameter.name == name),
        RefOr::Ref(_) => false,
    })
}

fn page_headers(responses: &mut Responses) {
    let Some(RefOr::T(page)) = responses.responses.get_mut("200") else {
        return;
    };
    let total = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0));
    let total = HeaderBuilder::new()
        .schema(Some(total))
        .description(Some("How many there are on all pages"));
    let links = HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some(
            "The previous, next, first and last page: `<path>;rel=next`, separated by commas",
        ));
    page.headers.insert("X-Total-Count".to_owned(), total.build().into());
    page.headers.insert("Link".to_owned(), links.build().into());
}

fn shared(name: &str) -> RefOr<Response> {
    Ref::from_response_name(name).into()
}

fn message(description: impl Into<String>) -> Response {
    refusal::<Message>(description)
}

fn refusal<T: ToSchema>(description: impl Into<String>) -> Response {
    let schema = Ref::from_schema_name(T::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(description)
        .content("application/json", content)
        .build()
}

/// What operations refer to.
fn common(components: &mut Components) {
    components
        .schemas
        .insert(Message::name().into_owned(), Message::schema());
    components.schemas.insert(Errors::name().into_owned(), Errors::schema());
    // Queries alone refer to it, and what they refer to is not collected.
    let address = AddressSought::name().into_owned();
    components.schemas.insert(address, AddressSought::schema());
    let responses = [
        ("BadRequest", message("The body can't be read to its end")),
        (
            "Unauthorized",
            message("Nobody is signed in: no session or token, or one that has ended"),
        ),
        ("NotFound", message("What the path names does not exist")),
        ("TooLarge", message("The body is larger than 1 MiB")),
        (
            "Unprocessable",
            refusal::<Errors>("The body or query can't be read or breaks rules, all of which are named"),
        ),
        ("Failure", message("The manager failed; its log says more")),
        (
            "Unavailable",
            message("The database does not answer, or not in time; try again"),
        ),
    ];
    for (name, response) in responses {
        components.responses.insert(name.to_owned(), response.into());
    }
    let bearer = |what: &str| {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(what))
            .build();
        SecurityScheme::Http(scheme)
    };
    let schemes = [
        (
            COOKIE,
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
                guard::COOKIE_NAME,
                "The session that signing in sets as a cookie",
            ))),
        ),
        (SESSION, bearer("The session that signing in answers")),
        (
            TOKEN,
            bearer("A personal access token, within its scopes and the rights of its user"),
        ),
    ];
    for (name, scheme) in schemes {
        components.security_schemes.insert(name.to_owned(), scheme.into());
    }
}
