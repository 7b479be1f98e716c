use super::*;
use crate::card::tests::{bare, facts, hostile};

#[test]
fn the_report_is_complete_and_loads_nothing() {
    let html = render(&facts());
    for title in [
        "Training loss",
        "Learning rate",
        "Gradient norm",
        "Quality by dimension",
        "Quality by epoch",
        "Lengths of positive",
    ] {
        assert!(html.contains(title), "{title} is missing");
    }
    for (name, value) in &facts().hyperparameters {
        assert!(html.contains(&format!("<th scope=\"row\">{name}</th><td>{value}</td>")), "{name} is missing");
    }
    for outside in ["http://", "https://", "src=", "url(", "@import", "<script"] {
        let without_namespace = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!without_namespace.contains(outside), "the report loads an external resource: {outside}");
    }
    assert_eq!(html.matches("<table").count(), html.matches("<caption>").count(), "every table has a caption");
    assert_eq!(html.matches("<svg").count(), html.matches("<desc").count(), "every chart has a description");
}

#[test]
fn blends_have_a_table_a_curve_and_a_verdict() {
    let blended = CardFacts { blend: Some(crate::card::blend()), ..facts() };
    let html = render(&blended);
    assert!(html.contains("<p>WIN: dim_384_cosine_map@100 0.1211 → 0.3189"), "{html}");
    assert!(html.contains("<tr class=\"primary\"><th scope=\"row\">0.5</th><td>0.3189</td><td>0.2546</td>"), "{html}");
    assert!(html.contains("α: 0 is the base, 1 the trained model"));
    assert_eq!(html.matches("<table").count(), html.matches("<caption>").count(), "every table has a caption");
    let svg = blend_chart_svg(&blended).unwrap();
    assert!(svg.starts_with("<svg xmlns=") && !svg.contains("var("));
    assert!(blend_chart_svg(&facts()).is_none() && !render(&facts()).contains("Blend with the base"));
}

#[test]
fn ids_are_unique() {
    let html = render(&facts());
    let mut ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn untrusted_texts_are_escaped() {
    let html = render(&hostile());
    assert!(!html.contains("<script>"));
    assert!(html.contains("&lt;script&gt;"));
}

#[test]
fn an_empty_record_is_reported() {
    let html = render(&bare());
    assert!(html.contains("nothing was recorded"));
    assert!(!html.contains("NaN"));
}

#[test]
fn pictures_are_self_contained() {
    for svg in
        [metric_chart_svg(&facts()), loss_chart_svg(&facts()), metric_chart_svg(&bare()), loss_chart_svg(&bare())]
    {
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
        assert!(svg.contains("fill=\"#ffffff\"") && !svg.contains("var("), "white ground and colours written out");
    }
    assert!(metric_chart_svg(&facts()).contains("before training"));
}
