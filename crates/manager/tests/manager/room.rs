//! A running manager and its callers.

use dragonfly_api::manager::manager_client::ManagerClient;
use dragonfly_api::manager::{
    KeepAliveRequest, ListSchedulersRequest, SourceType, UpdateSchedulerRequest, UpdateSeedPeerRequest,
};
use dragonfly_manager::config::Raw;
use dragonfly_manager::{Addresses, Config, Manager};
use dragonfly_service::{Workers, tls};
use dragonfly_testkit::mariadb::{self, MariaDb};
use dragonfly_testkit::postgres::{self, Postgres};
use dragonfly_testkit::redis::Redis;
use hyper_util::rt::TokioIo;
use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

pub(crate) type Client = ManagerClient<Channel>;

pub(crate) const PASSWORD: &str = "correct horse";
/// Nothing here takes so long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Where a manager keeps its data, and whether there is a Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    MariaDb,
    MariaDbAndRedis,
    Postgres,
}

/// Makes one test of each engine of every named function, so that a test that is not named is dead code.
macro_rules! on_every_engine {
    ($($name:ident)+) => {
        on_every_engine! { @ sqlite Sqlite $($name)+ }
        on_every_engine! { @ mariadb MariaDb $($name)+ }
        on_every_engine! { @ mariadb_and_redis MariaDbAndRedis $($name)+ }
        on_every_engine! { @ postgres Postgres $($name)+ }
    };
    (@ $engine:ident $variant:ident $($name:ident)+) => {
        mod $engine {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name($crate::room::Engine::$variant).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_engine;

/// Data of a manager: a directory, or a database of its own on a server that other tests use, too.
pub(crate) struct Data {
    pub(crate) dir: TempDir,
    name: String,
    server: Server,
    redis: Option<Redis>,
}

enum Server {
    None,
    MariaDb(MariaDb),
    Postgres(Postgres),
}

impl Data {
    /// None yet.
    pub(crate) async fn new(engine: Engine) -> Self {
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let server = match engine {
            Engine::Sqlite => Server::None,
            Engine::MariaDb | Engine::MariaDbAndRedis => {
                let server = MariaDb::shared().await.unwrap();
                server.create_database(&name).await.unwrap();
                Server::MariaDb(server)
            }
            Engine::Postgres => {
                let server = Postgres::shared().await.unwrap();
                server.create_database(&name).await.unwrap();
                Server::Postgres(server)
            }
        };
        let redis = match engine {
            Engine::MariaDbAndRedis => Some(Redis::shared().await.unwrap()),
            _ => None,
        };
        Self {
            dir: tempfile::tempdir().unwrap(),
            name,
            server,
            redis,
        }
    }

    /// Everything on free ports of the loopback, root's first password set.
    pub(crate) fn config(&self) -> Config {
        let mut text = format!(
            "server:\n  dataDir: {}\n  grpc: {{listenIP: 127.0.0.1, port: {{start: 0}}}}\n  rest: {{addr:              '127.0.0.1:0'}}\nmetrics: {{enable: true, addr: '127.0.0.1:0'}}\ndatabase:\n  startTimeout: 30s\n",
            self.dir.path().display()
        );
        let server = match &self.server {
            Server::None => None,
            Server::MariaDb(server) => Some(("mysql", server.address(), mariadb::USER, mariadb::PASSWORD)),
            Server::Postgres(server) => Some(("postgres", server.address(), postgres::USER, postgres::PASSWORD)),
        };
        if let Some((section, address, user, password)) = server {
            text.push_str(&format!(
                "  {section}: {{host: {}, port: {}, user: {user}, password: '{password}', dbname: {}}}\n",
                address.ip(),
                address.port(),
                self.name
            ));
        }
        if let Some(redis) = &self.redis {
            text.push_str(&format!("  redis: {{addrs: ['{}']}}\n", redis.address()));
        }
        parsed(&text)
    }

    /// Changes the database behind the manager's back.
    pub(crate) async fn sql(&self, statement: &str) {
        let db = self.connect().await;
        // Names in double quotes, on every engine.
        let ansi = match db.get_database_backend() {
            DbBackend::MySql => "SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES');",
            _ => "",
        };
        db.execute_unprepared(&format!("{ansi}{statement}")).await.unwrap();
        db.close().await.unwrap();
    }

    /// The one number that a query gives.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let db = self.connect().await;
        let query = Statement::from_string(db.get_database_backend(), query);
        let row = db.query_one_raw(query).await.unwrap().unwrap();
        let number = row.try_get_by_index(0).unwrap();
        db.close().await.unwrap();
        number
    }

    /// Where in the whole database a text stands, as table and column.
    pub(crate) async fn rows_with(&self, text: &str) -> Vec<String> {
        let db = self.connect().await;
        let (columns, quote, as_text) = match db.get_database_backend() {
            DbBackend::MySql => (
                "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()",
                '`',
                "CHAR",
            ),
            DbBackend::Postgres => (
                "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = 'public'",
                '"',
                "TEXT",
            ),
            _ => (
                "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'",
                '"',
                "TEXT",
            ),
        };
        let backend = db.get_database_backend();
        let columns = db
            .query_all_raw(Statement::from_string(backend, columns))
            .await
            .unwrap();
        assert!(columns.len() > 50, "the whole database");
        let mut found = Vec::new();
        for column in columns {
            let (table, column): (String, String) =
                (column.try_get_by_index(0).unwrap(), column.try_get_by_index(1).unwrap());
            let query = format!(
                "SELECT COUNT(*) FROM {quote}{table}{quote} WHERE CAST({quote}{column}{quote} AS {as_text}) LIKE '%{text}%'"
            );
            let row = db
                .query_one_raw(Statement::from_string(backend, query))
                .await
                .unwrap()
                .unwrap();
            if row.try_get_by_index::<i64>(0).unwrap() > 0 {
                found.push(format!("{table}.{column}"));
            }
        }
        db.close().await.unwrap();
        found
    }

    async fn connect(&self) -> DatabaseConnection {
        let url = match &self.server {
            Server::None => format!("sqlite://{}", self.dir.path().join("manager.db").display()),
            Server::MariaDb(server) => server.url(&self.name),
            Server::Postgres(server) => server.url(&self.name),
        };
        Database::connect(url).await.unwrap()
    }
}

/// A configuration from its text, with root's first password.
pub(crate) fn parsed(text: &str) -> Config {
    let raw: Raw = dragonfly_service::config::parse(text, "test").unwrap();
    let mut config = Config::try_from(raw).unwrap();
    config.initial_root_password = Some(PASSWORD.into());
    config
}

/// A running manager.
pub(crate) struct Room {
    pub(crate) data: Arc<Data>,
    pub(crate) addresses: Addresses,
    workers: Workers,
}

impl Room {
    pub(crate) async fn start(engine: Engine) -> Self {
        Self::start_with(engine, |_| {}).await
    }

    pub(crate) async fn start_with(engine: Engine, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(&Arc::new(Data::new(engine).await), change).await
    }

    /// Starts a manager on these data, whose configuration `change` completes.
    pub(crate) async fn start_on(data: &Arc<Data>, change: impl FnOnce(&mut Config)) -> Self {
        tls::install_provider();
        let mut config = data.config();
        change(&mut config);
        Self::of(data, config).await
    }

    /// Starts a manager with this configuration.
    pub(crate) async fn of(data: &Arc<Data>, config: Config) -> Self {
        let manager = Box::pin(Manager::build(config)).await.unwrap();
        let (addresses, ready) = (manager.addresses(), manager.ready());
        let workers = Workers::new(CancellationToken::new());
        let cancel = workers.cancel_token();
        workers.spawn("manager", async move { manager.run(cancel).await.unwrap() });
        ready.wait().await;
        Self {
            data: data.clone(),
            addresses,
            workers,
        }
    }

    /// Stops the manager in order and leaves its data.
    pub(crate) async fn stop(self) -> Arc<Data> {
        self.workers.drain(Duration::from_secs(60)).await.unwrap();
        self.data
    }

    pub(crate) fn anonymous(&self) -> Api {
        Api {
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            base: format!("http://{}", self.addresses.rest),
            token: None,
        }
    }

    pub(crate) async fn root(&self) -> Api {
        self.signed_in("root", PASSWORD).await
    }

    pub(crate) async fn signed_in(&self, name: &str, password: &str) -> Api {
        let anonymous = self.anonymous();
        let answer = anonymous.sign_in(name, password).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        Api {
            token: Some(answer.body["token"].as_str().unwrap().to_owned()),
            ..anonymous
        }
    }

    /// What Prometheus would be told.
    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.addresses.metrics.unwrap());
        let response = self.anonymous().client.get(url).send().await.unwrap();
        response.text().await.unwrap()
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.addresses.grpc)).unwrap();
        endpoint.connect().await.unwrap()
    }

    pub(crate) async fn grpc(&self) -> Client {
        Client::new(self.channel().await)
    }

    /// A client on a line of its own.
    pub(crate) async fn grpc_on_a_line(&self) -> (Client, Line) {
        let socket = std::net::TcpStream::connect(self.addresses.grpc).unwrap();
        let line = Line(socket.try_clone().unwrap());
        socket.set_nonblocking(true).unwrap();
        let mut socket = Some(TokioIo::new(TcpStream::from_std(socket).unwrap()));
        let connect = service_fn(move |_: Uri| ready(socket.take().ok_or("the line was cut")));
        let endpoint = Endpoint::from_static("http://on.a.line");
        (
            Client::new(endpoint.connect_with_connector(connect).await.unwrap()),
            line,
        )
    }
}

/// A caller of REST.
pub(crate) struct Api {
    pub(crate) client: reqwest::Client,
    pub(crate) base: String,
    pub(crate) token: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Api {
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}")),
        };
        Answer { status, headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    pub(crate) async fn sign_in(&self, name: &str, password: &str) -> Answer {
        self.post("/api/v1/users/signin", json!({"name": name, "password": password}))
            .await
    }

    /// Makes a cluster with these scopes and returns its id.
    pub(crate) async fn add_cluster(&self, name: &str, scopes: Value) -> u64 {
        let answer = self.post("/api/v1/clusters", cluster(name, scopes)).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.body["id"].as_u64().unwrap()
    }

    pub(crate) async fn state_of_scheduler(&self, id: u64) -> String {
        let answer = self.get(&format!("/api/v1/schedulers/{id}")).await;
        answer.body["state"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        self.body
    }

    /// The text of a refusal with this status.
    #[track_caller]
    pub(crate) fn refused(self, status: StatusCode) -> String {
        assert_eq!(self.status, status, "{:?}", self.body);
        let key = match status {
            StatusCode::UNPROCESSABLE_ENTITY => "errors",
            _ => "message",
        };
        self.body[key].as_str().expect("a text").to_owned()
    }
}

/// The body of ADD CLUSTER as the console of Dragonfly 2.5 sends it.
pub(crate) fn cluster(name: &str, scopes: Value) -> Value {
    json!({
        "name": name,
        "bio": "",
        "scopes": scopes,
        "scheduler_cluster_config": {"candidate_parent_limit": 4, "filter_parent_limit": 40, "job_rate_limit": 10},
        "seed_peer_cluster_config": {"load_limit": 2000},
        "peer_cluster_config": {"load_limit": 200},
        "is_default": false,
    })
}

pub(crate) fn scheduler(host: &str, cluster: u64) -> UpdateSchedulerRequest {
    UpdateSchedulerRequest {
        source_type: SourceType::SchedulerSource.into(),
        hostname: host.into(),
        scheduler_cluster_id: cluster,
        ip: "10.0.0.1".into(),
        port: 8002,
        // Long leases: no test shall depend on how fast the machine is.
        config: br#"{"manager_keep_alive_interval":600000000000}"#.to_vec(),
        ..UpdateSchedulerRequest::default()
    }
}

pub(crate) fn seed_peer(host: &str, cluster: u64) -> UpdateSeedPeerRequest {
    UpdateSeedPeerRequest {
        source_type: SourceType::SeedPeerSource.into(),
        hostname: host.into(),
        r#type: "super".into(),
        ip: "10.0.0.1".into(),
        port: 4000,
        download_port: 4001,
        seed_peer_cluster_id: cluster,
        ..UpdateSeedPeerRequest::default()
    }
}

pub(crate) fn peer(host: &str, ip: &str) -> ListSchedulersRequest {
    ListSchedulersRequest {
        source_type: SourceType::PeerSource.into(),
        hostname: host.into(),
        ip: ip.into(),
        ..ListSchedulersRequest::default()
    }
}

/// A stream of signs of life.
pub(crate) struct Alive {
    messages: mpsc::Sender<KeepAliveRequest>,
    request: KeepAliveRequest,
    call: JoinHandle<Result<(), Status>>,
}

impl Alive {
    /// Opens a stream for the scheduler of [`scheduler`] and sends a first message.
    pub(crate) async fn open(mut client: ManagerClient<Channel>, host: &str, cluster: u64) -> Self {
        let (messages, receiver) = mpsc::channel(4);
        #[allow(clippy::disallowed_methods, reason = "the test awaits or aborts it")]
        let call = tokio::spawn(async move {
            client
                .keep_alive(ReceiverStream::new(receiver))
                .await
                .map(tonic::Response::into_inner)
        });
        let alive = Self {
            messages,
            request: KeepAliveRequest {
                source_type: SourceType::SchedulerSource.into(),
                hostname: host.into(),
                cluster_id: cluster,
                ip: "10.0.0.1".into(),
            },
            call,
        };
        alive.beat().await;
        alive
    }

    pub(crate) async fn beat(&self) {
        // The stream may have been ended by the manager; the test will see that.
        self.messages.send(self.request.clone()).await.ok();
    }

    /// Ends the stream in order.
    pub(crate) async fn goodbye(self) -> Result<(), Status> {
        drop(self.messages);
        self.call.await.unwrap()
    }

    /// Waits until the manager ends the stream.
    pub(crate) async fn ended(self) -> Result<(), Status> {
        self.call.await.unwrap()
    }
}

/// A connection that can be cut, as it is when a host dies: nothing on it is ended in order.
pub(crate) struct Line(std::net::TcpStream);

impl Line {
    pub(crate) fn cut(self) {
        self.0.shutdown(std::net::Shutdown::Both).unwrap();
    }
}

/// Registers a scheduler and makes it alive for as long as the stream lives and a lease longer.
pub(crate) async fn living_scheduler(room: &Room, host: &str, cluster: u64) -> (u64, Alive) {
    let mut client = room.grpc().await;
    let id = client
        .update_scheduler(scheduler(host, cluster))
        .await
        .unwrap()
        .into_inner()
        .id;
    let alive = Alive::open(client, host, cluster).await;
    let root = room.root().await;
    eventually(|| async { root.state_of_scheduler(id).await == "active" }).await;
    (id, alive)
}

/// Waits for what no event tells.
pub(crate) async fn eventually<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("what was waited for never came true");
}
