use super::*;
use proptest::prelude::*;

fn scopes(idc: &str, location: &str, cidrs: &[&str], hostnames: &[&str]) -> Scopes {
    Scopes {
        idc: idc.into(),
        location: location.into(),
        cidrs: cidrs.iter().map(|cidr| (*cidr).into()).collect(),
        hostnames: hostnames.iter().map(|hostname| (*hostname).into()).collect(),
    }
}

fn candidate(id: u64, is_default: bool, scopes: &Scopes) -> Candidate {
    let (matchers, malformed) = Matchers::parse(scopes);
    assert_eq!(malformed, []);
    Candidate::new(id, is_default, matchers)
}

/// 1 is the default, 2 to 5 have one scope each.
fn five() -> Vec<Candidate> {
    vec![
        candidate(5, false, &scopes("", "", &["10.5.0.0/16"], &[])),
        candidate(4, false, &scopes("", "", &[], &["^four-"])),
        candidate(3, false, &scopes("idc-3|idc-three", "", &[], &[])),
        candidate(2, false, &scopes("", "asia|china", &[], &[])),
        candidate(1, true, &Scopes::default()),
    ]
}

fn origin<'a>(ip: &str, hostname: &'a str, idc: &'a str, location: &'a str) -> Origin<'a> {
    Origin {
        ip: ip.parse().ok(),
        hostname,
        idc,
        location,
    }
}

fn chosen(candidates: &[Candidate], origin: &Origin<'_>) -> Choice {
    choose(candidates, &Pins::default(), origin).unwrap()
}

#[test]
fn a_peer_is_placed_by_cidr_before_hostname_before_idc_before_location_before_default() {
    let all = origin("10.5.1.2", "four-1", "IDC-Three", "Asia|China|Hangzhou");
    let table = [
        (all.clone(), 5, "cidr"),
        (
            Origin {
                ip: None,
                ..all.clone()
            },
            4,
            "hostname",
        ),
        (origin("10.6.1.2", "five", all.idc, all.location), 3, "idc"),
        (origin("10.6.1.2", "five", "idc-4", all.location), 2, "location"),
        (origin("10.6.1.2", "five", "idc-4", "asia|japan"), 1, "default"),
        (Origin::default(), 1, "default"),
    ];
    for (origin, cluster, word) in table {
        let choice = chosen(&five(), &origin);
        assert_eq!((choice.cluster, choice.reason.word()), (cluster, word), "{origin:?}");
        assert_eq!(choice.ties, [0; 0]);
    }
}

#[test]
fn a_configured_cluster_beats_a_registered_one_and_that_beats_every_scope() {
    let origin = origin("10.5.1.2", "four-1", "idc-3", "asia|china");
    let mut pins = Pins {
        configured: Some(2),
        registered: vec![3],
    };
    assert_eq!(choose(&five(), &pins, &origin).unwrap().reason, Reason::Pinned);
    assert_eq!(choose(&five(), &pins, &origin).unwrap().cluster, 2);
    pins.configured = None;
    assert_eq!(choose(&five(), &pins, &origin).unwrap().reason, Reason::SeedPeer);
    assert_eq!(choose(&five(), &pins, &origin).unwrap().cluster, 3);
}

#[test]
fn an_unknown_configured_cluster_is_an_error_and_never_another_cluster() {
    let pins = Pins {
        configured: Some(9),
        registered: vec![3],
    };
    assert_eq!(choose(&five(), &pins, &Origin::default()), Err(NoCluster::Unknown(9)));
}

#[test]
fn a_seed_peer_registered_in_two_clusters_goes_to_the_lower_id_and_is_told() {
    let pins = Pins {
        configured: None,
        registered: vec![4, 2],
    };
    let choice = choose(&five(), &pins, &Origin::default()).unwrap();
    assert_eq!((choice.cluster, choice.ties), (2, vec![4]));
}

#[test]
fn the_longest_network_and_the_longest_location_win() {
    let clusters = [
        candidate(1, false, &scopes("", "asia", &["10.0.0.0/8", "fd00::/8"], &[])),
        candidate(2, false, &scopes("", "asia|china|hz", &["10.1.0.0/16"], &[])),
        candidate(3, false, &scopes("", "asia|china", &["fd00:1::/32"], &[])),
    ];
    for (ip, cluster) in [
        ("10.1.2.3", 2),
        ("10.2.2.3", 1),
        ("::ffff:10.1.2.3", 2),
        ("fd00:1::1", 3),
        ("fd00:2::1", 1),
    ] {
        assert_eq!(chosen(&clusters, &origin(ip, "", "", "")).cluster, cluster, "{ip}");
    }
    for (location, cluster) in [
        ("asia|china|hz|west", 2),
        ("asia|china|sh", 3),
        ("asia|china", 3),
        ("ASIA", 1),
    ] {
        assert_eq!(
            chosen(&clusters, &origin("", "", "", location)).cluster,
            cluster,
            "{location}"
        );
    }
    assert_eq!(
        choose(&clusters, &Pins::default(), &origin("", "", "", "europe")),
        Err(NoCluster::NoDefault)
    );
}

#[test]
fn equal_matches_go_to_the_lowest_id_and_name_the_others() {
    let clusters = [
        candidate(7, false, &scopes("east", "", &[], &[])),
        candidate(3, false, &scopes("west|EAST", "", &[], &[])),
        candidate(5, false, &scopes("east", "", &[], &[])),
    ];
    let choice = chosen(&clusters, &origin("", "", "east", ""));
    assert_eq!((choice.cluster, choice.ties.as_slice()), (3, &[5, 7][..]));
    assert!(choice.to_string().contains("[5, 7]"), "{choice}");
}

#[test]
fn malformed_scopes_are_told_and_the_rest_still_matches() {
    let (matchers, malformed) = Matchers::parse(&scopes("", "", &["10.0.0.0/33", "10.0.0.7"], &["(", "^a"]));
    assert_eq!(malformed.len(), 2);
    assert!(malformed[1].to_string().contains("unclosed group"), "{}", malformed[1]);
    assert!(matchers.cidr("10.0.0.7".parse().unwrap()).is_some());
    assert!(matchers.hostname("abc").is_some());
}

#[test]
fn an_empty_hostname_idc_or_location_matches_no_scope_for_it() {
    let clusters = [
        candidate(1, true, &Scopes::default()),
        candidate(2, false, &scopes("a", "b", &[], &[".*"])),
    ];
    assert_eq!(chosen(&clusters, &Origin::default()).reason, Reason::Default);
    assert_eq!(chosen(&clusters, &origin("", "", "|", "||")).reason, Reason::Default);
}

/// Small alphabets, so that matches and ties happen.
fn any_scopes() -> impl Strategy<Value = Scopes> {
    let idc = prop::sample::select(vec!["", "a", "a|b", "B"]);
    let location = prop::sample::select(vec!["", "x", "x|y", "x|y|z"]);
    let cidrs = prop::collection::vec(prop::sample::select(vec!["10.0.0.0/8", "10.1.0.0/16", "::/0"]), 0..2);
    let hostnames = prop::collection::vec(prop::sample::select(vec!["^n", "1$"]), 0..2);
    (idc, location, cidrs, hostnames)
        .prop_map(|(idc, location, cidrs, hostnames)| scopes(idc, location, &cidrs, &hostnames))
}

fn any_clusters() -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::vec(any_scopes(), 1..6).prop_map(|all| {
        all.iter()
            .zip(1..)
            .map(|(scopes, id)| candidate(id, id == 1, scopes))
            .collect()
    })
}

type Caller = (&'static str, &'static str, &'static str, &'static str);

fn any_caller() -> impl Strategy<Value = Caller> {
    (
        prop::sample::select(vec!["10.1.0.1", "10.2.0.1", "192.168.0.1", "fd00::1", ""]),
        prop::sample::select(vec!["node-1", "node-2", "host-1", "other"]),
        prop::sample::select(vec!["", "a", "b", "c"]),
        prop::sample::select(vec!["", "x", "x|y|z|w", "y"]),
    )
}

/// How strong a reason is; lower is stronger.
fn rank(reason: &Reason) -> usize {
    ["pinned", "seed_peer", "cidr", "hostname", "idc", "location", "default"]
        .iter()
        .position(|word| *word == reason.word())
        .unwrap()
}

proptest! {
    #[test]
    fn the_order_of_clusters_in_the_store_does_not_matter(clusters in any_clusters(), caller in any_caller()) {
        let origin = origin(caller.0, caller.1, caller.2, caller.3);
        let forward = chosen(&clusters, &origin);
        let reversed: Vec<_> = clusters.iter().rev().cloned().collect();
        prop_assert_eq!(forward, chosen(&reversed, &origin));
    }

    #[test]
    fn no_other_cluster_alone_would_have_a_stronger_reason(clusters in any_clusters(), caller in any_caller()) {
        let origin = origin(caller.0, caller.1, caller.2, caller.3);
        let choice = chosen(&clusters, &origin);
        for candidate in &clusters {
            if let Ok(alone) = choose(std::slice::from_ref(candidate), &Pins::default(), &origin) {
                prop_assert!(rank(&choice.reason) <= rank(&alone.reason));
                let equal = rank(&choice.reason) == rank(&alone.reason) && candidate.id < choice.cluster;
                // A lower id with an equal reason lost only to a longer prefix.
                prop_assert!(!equal || matches!(choice.reason, Reason::Cidr(_) | Reason::Location(_)));
            }
        }
    }

    #[test]
    fn a_pin_decides_whatever_else_is_true(clusters in any_clusters(), caller in any_caller(), pick in 0usize..6) {
        let origin = origin(caller.0, caller.1, caller.2, caller.3);
        let id = clusters[pick % clusters.len()].id;
        let pins = Pins { configured: Some(id), registered: vec![1] };
        prop_assert_eq!(choose(&clusters, &pins, &origin).unwrap().cluster, id);
    }
}
