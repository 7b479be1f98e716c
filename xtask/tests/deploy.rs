//! Checks that the files of `deploy/` are valid for the programs that read them, and consistent.

use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

fn deploy(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(deploy(name)).unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

/// Returns the document of this kind in the Kubernetes example.
fn part(kind: &str) -> Value {
    let parts: Vec<Value> =
        serde_saphyr::from_multiple(&read("kubernetes.yaml")).expect("deploy/kubernetes.yaml is YAML");
    for part in &parts {
        assert!(part["apiVersion"].is_string() && part["metadata"]["name"] == "maana", "{part}");
    }
    parts.into_iter().find(|part| part["kind"] == kind).unwrap_or_else(|| panic!("there is no {kind}"))
}

fn container() -> Value {
    part("Deployment")["spec"]["template"]["spec"]["containers"][0].clone()
}

#[test]
fn probes_use_the_health_routes() {
    let container = container();
    for (probe, path) in
        [("livenessProbe", "/health/live"), ("readinessProbe", "/health/ready"), ("startupProbe", "/health/ready")]
    {
        assert_eq!(container[probe]["httpGet"]["path"], path, "{probe}");
        assert_eq!(container[probe]["httpGet"]["port"], container["ports"][0]["name"], "{probe}");
    }
}

#[test]
fn the_port_is_the_same_everywhere() {
    let container = container();
    let port = container["ports"][0]["containerPort"].to_string();
    let arguments: Vec<&str> =
        container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let after = |flag: &str| arguments[arguments.iter().position(|word| *word == flag).unwrap() + 1];
    assert_eq!(after("--port"), port);
    assert_eq!(part("Service")["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
    assert!(read("Containerfile").contains(&format!("EXPOSE {port}\n")));
    let pod = &part("Deployment")["spec"]["template"];
    assert_eq!(pod["metadata"]["annotations"]["prometheus.io/port"], port.as_str());
    let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
    let before = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    assert!(grace > before + after("--drain").parse::<u64>().unwrap(), "the server is killed before it has drained");
}

#[test]
fn resources_are_limited_and_privileges_dropped() {
    let (pod, container) = (part("Deployment")["spec"]["template"]["spec"].clone(), container());
    for what in ["cpu", "memory"] {
        assert!(container["resources"]["requests"][what].is_string(), "no request of {what}");
        assert!(container["resources"]["limits"][what].is_string(), "no limit of {what}");
    }
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert!(read("Containerfile").contains(&format!("USER {}:", pod["securityContext"]["runAsUser"])));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    assert_eq!(pod["automountServiceAccountToken"], false);
}

#[test]
fn selectors_and_volumes_match() {
    let deployment = part("Deployment");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&part("Service")["spec"]["selector"], labels);
    assert_eq!(&part("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels);
    let scaler = part("HorizontalPodAutoscaler");
    assert_eq!(scaler["spec"]["scaleTargetRef"]["kind"], "Deployment");
    assert_eq!(scaler["spec"]["minReplicas"], deployment["spec"]["replicas"]);
    let names = |list: &Value| list.as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&container()["volumeMounts"]), names(&deployment["spec"]["template"]["spec"]["volumes"]));
}

/// Verifies the unit with `systemd-analyze`, if it is installed.
#[test]
fn systemd_accepts_the_unit() {
    let folder = std::env::temp_dir().join(format!("maana-unit-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let unit = folder.join("maana.service");
    // Neither the program nor its settings need to be installed.
    let text = read("maana.service").replace("/usr/local/bin/maana", "/bin/true").replace("File=/etc", "File=-/etc");
    std::fs::write(&unit, text).unwrap();
    let analyze = |words: &[&str]| Command::new("systemd-analyze").args(words).arg(&unit).output();
    match analyze(&["verify"]) {
        Err(error) => eprintln!("skipped: systemd's check of deploy/maana.service, because systemd-analyze: {error}"),
        Ok(verified) => {
            let stderr = String::from_utf8_lossy(&verified.stderr).into_owned();
            assert!(verified.status.success() && stderr.trim().is_empty(), "systemd-analyze verify: {stderr}");
            let exposed = analyze(&["security", "--offline=true", "--threshold=20", "--no-pager"]).unwrap();
            assert!(
                exposed.status.success(),
                "exposed by more than 2.0 of 10:\n{}{}",
                String::from_utf8_lossy(&exposed.stdout),
                String::from_utf8_lossy(&exposed.stderr)
            );
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_unit_stops_after_the_drain() {
    let unit = read("maana.service");
    let value =
        |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default();
    // Default of --drain in seconds.
    const DRAIN: u64 = 30;
    assert!(value("TimeoutStopSec").parse::<u64>().unwrap() > DRAIN);
    for name in ["DynamicUser", "NoNewPrivileges", "PrivateTmp"] {
        assert_eq!(value(name), "yes", "{name}");
    }
    assert_eq!(value("ProtectSystem"), "strict");
    assert!(!value("MemoryMax").is_empty());
    let environment = read("maana.env");
    for name in ["MODEL=", "OPTIONS="] {
        assert!(environment.lines().any(|line| line.starts_with(name)), "deploy/maana.env has no {name}");
    }
}
