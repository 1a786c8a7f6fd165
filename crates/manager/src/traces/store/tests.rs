use super::super::search::{Query, find};
use super::super::span::Received;
use super::*;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

/// Some time, in milliseconds since 1970.
const NOW: u64 = 1_800_000_000_000;
const HOUR: u64 = 3_600_000;
const DAY: Limits = Limits {
    bytes: 64 << 20,
    age: Duration::from_secs(24 * 3600),
};

fn said(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// The span of this number of a trace: it begins so many milliseconds after [`NOW`] and takes so many.
fn span(trace: u128, id: u64, begins: u64, takes: u64) -> Span {
    let start = (NOW + begins) * 1_000_000;
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: "proxy".to_owned(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + takes * 1_000_000,
        attributes: vec![
            said("http.url", Value::StringValue(format!("/blob/{trace}"))),
            said("http.response.status_code", Value::IntValue(200)),
            said("piece", Value::StringValue(format!("{id}"))),
        ],
        ..Span::default()
    }
}

fn told(spans: Vec<Span>) -> Vec<Told> {
    let name = said("service.name", Value::StringValue("dfget".to_owned()));
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![name],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    Received::of(request).told
}

fn query() -> Query {
    Query {
        service: "dfget".to_owned(),
        durations: (0, u64::MAX),
        times: (0, u64::MAX),
        limit: 100,
        ..Query::default()
    }
}

fn found(store: &Store, query: &Query) -> Vec<u128> {
    find(store, query).unwrap().traces.iter().map(|id| id.0).collect()
}

fn sought(tags: &[(&str, &str)]) -> Query {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Query {
        tags: tags.collect(),
        ..query()
    }
}

#[test]
fn traces_are_found_by_what_one_of_their_spans_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), DAY, NOW).unwrap();
    // The third comes first and is the slowest.
    let spans = [(1, 20, 3), (2, 30, 40), (3, 10, 5000)];
    for (trace, begins, takes) in spans {
        store.write(&told(vec![span(trace, 1, begins, takes)]), NOW).unwrap();
    }
    store.write(&told(vec![span(2, 2, 31, 7)]), NOW).unwrap();
    assert_eq!(found(&store, &query()), [2, 1, 3], "the newest first, each once");
    assert_eq!(found(&store, &sought(&[("http.url", "/blob/1")])), [1]);
    assert_eq!(
        found(&store, &sought(&[("http.response.status_code", "200")])),
        [2, 1, 3]
    );
    // By no index, and by one together with that.
    assert_eq!(found(&store, &sought(&[("piece", "2")])), [2]);
    assert_eq!(
        found(&store, &sought(&[("piece", "2"), ("http.url", "/blob/1")])),
        [] as [u128; 0]
    );
    let slow = |from: u64, to: u64| Query {
        durations: (from * 1000, to * 1000),
        ..query()
    };
    assert_eq!(found(&store, &slow(40, u64::MAX / 1000)), [2, 3]);
    assert_eq!(found(&store, &slow(3, 4)), [1]);
    let from = (NOW + 20) * 1000;
    let between = Query {
        times: (from, from),
        ..query()
    };
    assert_eq!(found(&store, &between), [1]);
    let never = Query {
        times: (from, from - 1),
        ..query()
    };
    assert_eq!(found(&store, &never), [] as [u128; 0]);
    let other = Query {
        operation: Some("download".to_owned()),
        ..query()
    };
    assert_eq!(found(&store, &other), [] as [u128; 0]);
    let few = Query { limit: 2, ..query() };
    assert_eq!(found(&store, &few), [2, 1]);
    let (spans, more) = store.trace(TraceId(2), 1 << 20).unwrap();
    assert_eq!((spans.len(), more), (2, false));
    assert!(store.trace(TraceId(2), 10).unwrap().1, "more than fits");
    let names: Vec<Name> = store.names().unwrap().into_iter().collect();
    assert_eq!(names, [("dfget".to_owned(), "proxy".to_owned(), String::new())]);
}

#[test]
fn what_was_written_is_there_after_a_kill_and_told_again_it_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), DAY, NOW).unwrap();
    store
        .write(&told(vec![span(1, 1, 0, 1), span(1, 2, 0, 1)]), NOW)
        .unwrap();
    // What a killed process leaves is what the operating system was given.
    let killed = tempfile::tempdir().unwrap();
    copy(dir.path(), killed.path());
    let again = Store::open(killed.path(), DAY, NOW + 2 * HOUR).unwrap();
    assert_eq!(found(&again, &sought(&[("http.url", "/blob/1")])), [1]);
    // Into a newer segment.
    again.write(&told(vec![span(1, 2, 0, 9)]), NOW + 2 * HOUR).unwrap();
    let (spans, _) = again.trace(TraceId(1), 1 << 20).unwrap();
    let mut durations: Vec<u64> = spans.iter().map(Told::duration).collect();
    durations.sort_unstable();
    assert_eq!(durations, [1000, 9000], "the last word about a span counts");
    drop(again);
    let reopened = Store::open(killed.path(), DAY, NOW + 3 * HOUR).unwrap();
    assert_eq!(found(&reopened, &query()), [1]);
}

#[test]
fn the_oldest_go_by_age_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), DAY, NOW).unwrap();
    for hour in 0..48 {
        let trace = u128::from(hour) + 1;
        store
            .write(&told(vec![span(trace, 1, hour * HOUR, 1)]), NOW + hour * HOUR)
            .unwrap();
    }
    let left = found(&store, &query());
    assert_eq!(left.first(), Some(&48));
    // A segment lasts an hour, and goes a day after its end.
    assert!((23..=26).contains(&left.len()), "{left:?}");
    store.tend(NOW + 100 * HOUR).unwrap();
    store.tend(NOW + 200 * HOUR).unwrap();
    assert_eq!(found(&store, &query()), [] as [u128; 0]);
    assert!(store.segments().len() <= 2);
    // A clock that was set back spoils nothing.
    store.write(&told(vec![span(100, 1, 0, 1)]), NOW).unwrap();
    assert_eq!(found(&store, &query()), [100]);
}

#[test]
fn the_oldest_go_by_size_and_the_files_are_as_small_as_they_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { bytes: 4 << 20, ..DAY };
    let store = Store::open(dir.path(), limits, NOW).unwrap();
    let mut random = 1_u64;
    for trace in 1..=400_u64 {
        let spans = (1..=20).map(|id| {
            let mut span = span(u128::from(trace), id, trace, 1);
            // What can't be compressed.
            let noise: String = std::iter::repeat_with(|| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                format!("{:016x}", random ^ (random >> 29))
            })
            .take(100)
            .collect();
            span.attributes.push(said("noise", Value::StringValue(noise)));
            span
        });
        store.write(&told(spans.collect()), NOW + trace).unwrap();
    }
    // What waits to be written out is written before it is counted.
    for segment in store.segments() {
        segment.keyspace.rotate_memtable_and_wait().unwrap();
    }
    store.tend(NOW + 1000).unwrap();
    let tables = size(&dir.path().join("keyspaces"));
    // As large as it may be, and fjall's list of what there was.
    assert!(tables < 8 << 20, "{tables}");
    let all = Query { limit: 1000, ..query() };
    let left = found(&store, &all);
    assert_eq!(left.first(), Some(&400));
    assert!(left.len() > 20 && left.len() < 390, "{}", left.len());
    assert!(size(dir.path()) < JOURNALS + (8 << 20), "{}", size(dir.path()));
    // What was cleared stays so after a kill, and after a restart.
    let killed = tempfile::tempdir().unwrap();
    copy(dir.path(), killed.path());
    drop(store);
    for dir in [dir.path(), killed.path()] {
        let again = Store::open(dir, limits, NOW + 1001).unwrap();
        assert_eq!(found(&again, &all), left);
        assert!(again.trace(TraceId(1), 1 << 20).unwrap().0.is_empty());
    }
}

#[test]
fn classes_are_powers_of_ten() {
    for (micros, expected) in [
        (0, 0),
        (999, 0),
        (1000, 1),
        (9999, 1),
        (10_000, 2),
        (999_999_999, 6),
        (u64::MAX, 7),
    ] {
        assert_eq!(class(micros), expected, "{micros}");
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Bytes of all files; those that vanish meanwhile count nothing.
fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => size(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
