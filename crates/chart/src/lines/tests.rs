use super::*;

fn chart(points: Vec<(f64, f64)>) -> Chart {
    Chart {
        id: "c".into(),
        title: "Title".into(),
        x_label: "step".into(),
        y_label: "loss".into(),
        series: vec![Series { name: "loss".into(), points, labelled: false }],
        ..Chart::default()
    }
}

fn assert_sound(svg: &str) {
    for bad in ["NaN", "inf", "d=\"\""] {
        assert!(!svg.contains(bad), "{bad} in {svg}");
    }
    for (open, close) in [("<svg", "</svg>"), ("<g>", "</g>"), ("<text", "</text>"), ("<title", "</title>")] {
        assert_eq!(svg.matches(open).count(), svg.matches(close).count(), "{open} in {svg}");
    }
}

#[test]
fn no_points_one_point_and_equal_points() {
    for paint in [Paint::Page, Paint::White] {
        for points in
            [vec![], vec![(f64::NAN, 1.0)], vec![(3.0, 2.0)], vec![(0.0, 0.0); 3], vec![(1.0, -4.0), (2.0, -4.0)]]
        {
            let nothing = !points.iter().any(|(x, _)| x.is_finite());
            let svg = chart(points).lines(paint);
            assert_eq!(svg.contains("nothing was recorded"), nothing);
            assert!(nothing || svg.contains("class=\"hit\""));
            assert!(!svg.contains("NaN"), "{svg}");
        }
    }
    assert!(Chart::default().lines(Paint::Page).contains("nothing was recorded"));
    assert!(chart(vec![]).bars(&[], Paint::Page).contains("nothing was recorded"));
}

#[test]
fn a_point_that_is_not_finite_leaves_a_gap() {
    let svg = chart(vec![
        (0.0, 1.0),
        (1.0, 2.0),
        (2.0, f64::NAN),
        (3.0, 1.0),
        (4.0, f64::INFINITY),
        (4.5, f64::MAX),
        (4.6, f64::MIN),
        (5.0, 3.0),
    ])
    .lines(Paint::Page);
    assert_sound(&svg);
    let path = svg.split("class=\"line\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(path.matches('M').count(), 3, "{path}");
}

#[test]
fn a_long_line_is_thinned_and_keeps_its_peak() {
    let mut points: Vec<(f64, f64)> = (0..100_000).map(|at| (at as f64, (at as f64 * 0.01).sin())).collect();
    points[54_321].1 = 9.0;
    let thin = thinned(&points);
    assert!(thin.len() <= DRAWN_POINTS && thin.contains(&(54_321.0, 9.0)));
    assert!(thin.windows(2).all(|pair| pair[0].0 < pair[1].0), "still from left to right");
    let svg = chart(points).lines(Paint::Page);
    assert_sound(&svg);
    assert!(svg.len() < 100_000, "{} bytes", svg.len());
}

#[test]
fn bars_start_at_zero() {
    let bar = |from: f64, value: f64| Bar { from, to: from + 1.0, value, tooltip: "a < b".into() };
    let svg = chart(vec![]).bars(&[bar(0.0, 3.0), bar(1.0, 0.0), bar(2.0, f64::NAN), bar(3.0, 1.0)], Paint::White);
    assert_sound(&svg);
    assert_eq!(svg.matches("class=\"bar\"").count(), 2, "none for nothing");
    assert!(svg.contains("a &lt; b"));
}

#[test]
fn the_axis_can_have_names() {
    let mut chart = chart(vec![(0.0, 0.2), (1.0, 0.3)]);
    chart.x_names = Some(vec!["64".into(), "128".into()]);
    chart.series.push(Series { name: "a <second> line".into(), points: vec![(0.0, 0.1)], labelled: true });
    let svg = chart.lines(Paint::White);
    assert_sound(&svg);
    assert!(svg.contains(">128</text>") && svg.contains("a &lt;second&gt; line"));
    assert!(svg.contains("<title>64 · loss: 0.2</title>"));
    assert!(svg.contains(">0.100</text>"), "labels beside points have three places");
}

#[test]
fn values_are_on_the_outer_side_of_their_points() {
    let series =
        |name: &str, points: &[(f64, f64)]| Series { name: name.into(), points: points.to_vec(), labelled: true };
    // Training is worse at the first point, better at the second, equal at the third.
    let lines = [
        series("after", &[(0.0, 0.3), (1.0, 0.9), (2.0, 0.5)]),
        series("before", &[(0.0, 0.4), (1.0, 0.8), (2.0, 0.5)]),
    ];
    let chart = Chart { series: lines.into(), from_zero: true, ..chart(vec![]) };
    let frame = chart.frame(Paint::Page);
    let svg = chart.lines(Paint::Page);
    let at = |y: f64, by: f64| format!("y=\"{:.1}\" text-anchor=\"middle\">{y:.3}</text>", frame.y(y) + by);
    for (value, by) in [(0.3, 20.0), (0.4, -11.0), (0.9, -11.0), (0.8, 20.0), (0.5, -11.0), (0.5, 20.0)] {
        assert!(svg.contains(&at(value, by)), "{value} {by}: {svg}");
    }
}
