//! Papers that a card cites, with their BibTeX entries.

/// A paper, and its BibTeX entry.
#[derive(serde::Serialize)]
pub(super) struct Citation {
    title: &'static str,
    entry: &'static str,
}

/// Returns the papers of Sentence Transformers and of the losses, by their classes there.
pub(super) fn citations(classes: &[&str], is_cross_encoder: bool) -> Vec<Citation> {
    let mut all =
        vec![Citation { title: "Sentence Transformers", entry: include_str!("citations/sentence_bert.bib").trim() }];
    for class in classes {
        if class.starts_with("Cached") {
            all.push(Citation { title: "Mini-batches", entry: include_str!("citations/gradient_cache.bib").trim() });
        }
        // Scores are compared with labels by no method of that paper.
        if is_cross_encoder && *class == "MSELoss" {
            continue;
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
        "AdaptiveLayerLoss" => ("AdaptiveLayerLoss", include_str!("citations/adaptive_layer.bib")),
        "Matryoshka2dLoss" => ("Matryoshka2dLoss", include_str!("citations/adaptive_layer.bib")),
        "GISTEmbedLoss" => ("GISTEmbedLoss", include_str!("citations/gist_embed.bib")),
        "CoSENTLoss" => ("CoSENTLoss", include_str!("citations/cosent.bib")),
        "AnglELoss" => ("AnglELoss", include_str!("citations/angle.bib")),
        "ContrastiveLoss" => ("ContrastiveLoss", include_str!("citations/contrastive.bib")),
        "MSELoss" => ("MSELoss", include_str!("citations/mse.bib")),
        "MarginMSELoss" => ("MarginMSELoss", include_str!("citations/margin_mse.bib")),
        "DistillKLDivLoss" => ("DistillKLDivLoss", include_str!("citations/distill_kl_div.bib")),
        "LambdaLoss" => ("LambdaLoss", include_str!("citations/lambda.bib")),
        "RankNetLoss" => ("RankNetLoss", include_str!("citations/rank_net.bib")),
        "ListNetLoss" => ("ListNetLoss", include_str!("citations/list_net.bib")),
        "ListMLELoss" => ("ListMLELoss", include_str!("citations/list_mle.bib")),
        "PListMLELoss" => ("PListMLELoss", include_str!("citations/plist_mle.bib")),
        "ADRMSELoss" => ("ADRMSELoss", include_str!("citations/adr_mse.bib")),
        "TripletLoss" => ("TripletLoss", TRIPLETS),
        "BatchHardTripletLoss" => ("BatchHardTripletLoss", TRIPLETS),
        "BatchAllTripletLoss" => ("BatchAllTripletLoss", TRIPLETS),
        "BatchSemiHardTripletLoss" => ("BatchSemiHardTripletLoss", TRIPLETS),
        "BatchHardSoftMarginTripletLoss" => ("BatchHardSoftMarginTripletLoss", TRIPLETS),
        _ => return None,
    })
}
