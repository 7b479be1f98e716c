//! Papers that a card cites, with their BibTeX entries.

/// A paper, and its BibTeX entry.
#[derive(serde::Serialize)]
pub(super) struct Citation {
    title: &'static str,
    entry: &'static str,
}

/// Returns the papers of Sentence Transformers and of the losses, by their classes there.
pub(super) fn citations(classes: &[&str]) -> Vec<Citation> {
    let mut all =
        vec![Citation { title: "Sentence Transformers", entry: include_str!("citations/sentence_bert.bib").trim() }];
    for class in classes {
        if class.starts_with("Cached") {
            all.push(Citation { title: "Mini-batches", entry: include_str!("citations/gradient_cache.bib").trim() });
        }
        if let Some((title, entry)) = of_loss(class.strip_prefix("Cached").unwrap_or(class)) {
            all.push(Citation { title, entry: entry.trim() });
        }
    }
    all
}

fn of_loss(class: &str) -> Option<(&'static str, &'static str)> {
    const TRIPLETS: &str = include_str!("citations/triplet.bib");
    Some(match class {
        "MatryoshkaLoss" => ("MatryoshkaLoss", include_str!("citations/matryoshka.bib")),
        "MultipleNegativesRankingLoss" | "MultipleNegativesSymmetricRankingLoss" => {
            ("MultipleNegativesRankingLoss", include_str!("citations/multiple_negatives_ranking.bib"))
        }
        "GISTEmbedLoss" => ("GISTEmbedLoss", include_str!("citations/gist_embed.bib")),
        "CoSENTLoss" => ("CoSENTLoss", include_str!("citations/cosent.bib")),
        "AnglELoss" => ("AnglELoss", include_str!("citations/angle.bib")),
        "ContrastiveLoss" => ("ContrastiveLoss", include_str!("citations/contrastive.bib")),
        "MSELoss" => ("MSELoss", include_str!("citations/mse.bib")),
        "MarginMSELoss" => ("MarginMSELoss", include_str!("citations/margin_mse.bib")),
        "DistillKLDivLoss" => ("DistillKLDivLoss", include_str!("citations/distill_kl_div.bib")),
        "TripletLoss" => ("TripletLoss", TRIPLETS),
        "BatchHardTripletLoss" => ("BatchHardTripletLoss", TRIPLETS),
        "BatchAllTripletLoss" => ("BatchAllTripletLoss", TRIPLETS),
        "BatchSemiHardTripletLoss" => ("BatchSemiHardTripletLoss", TRIPLETS),
        "BatchHardSoftMarginTripletLoss" => ("BatchHardSoftMarginTripletLoss", TRIPLETS),
        _ => return None,
    })
}
