//! `maana cluster`

use super::mine::{Reading, embed};
use crate::terminal::write_lines;
use anyhow::{Result, bail};
use maana::cluster::{Dot, Map, Method, describe, find, quality, views};
use maana::kernels::Context;
use std::path::{Path, PathBuf};

/// Group texts by meaning, describe each group by its words, and draw a map.
#[derive(clap::Args)]
#[command(after_help = "\
Methods:
  kmeans         -k groups, by cosine to their centres
  communities    texts with a cosine of at least --threshold to a central text, at least --min-size of them
  agglomerative  merges groups until there are -k, or until all are further apart than --threshold (cosine distance)
  hdbscan        dense regions of at least --min-size texts

Examples:
  maana cluster questions.txt --model MODEL -k 12 --html map.html
  maana cluster news.csv --model MODEL --method communities --threshold 0.8 --output groups.jsonl
  maana cluster test.tsv --header text,label --label label --model MODEL -k 7")]
pub(crate) struct Cluster {
    /// File of texts
    file: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// Clustering method
    #[arg(long, value_enum, default_value = "kmeans")]
    method: MethodName,
    /// Number of groups
    #[arg(short, long, value_name = "N", value_parser = crate::number::one_or_more)]
    k: Option<usize>,
    /// Cosine (communities) or cosine distance (agglomerative) that bounds a group
    /// [default: communities 0.75, agglomerative 0.5]
    #[arg(long, value_name = "NUMBER", value_parser = crate::number::finite::<f32>, allow_negative_numbers = true)]
    threshold: Option<f32>,
    /// Minimum size of a group [default: communities 10, hdbscan 5]
    #[arg(long, value_name = "N")]
    min_size: Option<usize>,
    /// Seed of kmeans
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Column with known labels, to evaluate the groups
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// Write each text with its group (JSON lines)
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a map as an HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum MethodName {
    #[value(name = "kmeans")]
    KMeans,
    Communities,
    Agglomerative,
    Hdbscan,
}

impl Cluster {
    fn method(&self) -> Result<Method> {
        Ok(match self.method {
            MethodName::KMeans => match self.k {
                Some(k) => Method::KMeans { k, seed: self.seed },
                None => {
                    bail!("--method kmeans needs -k, the number of groups; the other methods determine it themselves")
                }
            },
            MethodName::Communities => {
                Method::Communities { threshold: self.threshold.unwrap_or(0.75), min_size: self.min_size.unwrap_or(10) }
            }
            MethodName::Agglomerative => Method::Agglomerative { k: self.k, threshold: self.threshold.unwrap_or(0.5) },
            MethodName::Hdbscan => Method::Hdbscan { min_size: self.min_size.unwrap_or(5) },
        })
    }

    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let method = self.method()?;
        let outputs = [("--output", self.output.as_deref()), ("--html", self.html.as_deref())];
        crate::outputs::check(&[&self.file, Path::new(&self.reading.model)], &outputs)?;
        let labels: Vec<&str> = self.label.iter().map(String::as_str).collect();
        let read = self.reading.texts(&self.file, &labels)?;
        let texts = read.texts;
        let truth: Option<Vec<String>> = self.label.is_some().then(|| read.labels.into_iter().flatten().collect());
        let opened = self.reading.open(context)?;
        let encoder = self.reading.encoder(&opened)?;
        let rows = embed(&encoder, &texts, encoder.default_prompt())?;
        let labels = find(context, rows.view(), method)?;
        let groups = describe(rows.view(), &texts, &labels);
        let ungrouped = labels.iter().filter(|label| label.is_none()).count();
        for (number, group) in groups.iter().enumerate() {
            outln!("group {number}: {} texts; {}", group.members.len(), group.words.join(", "))?;
            for row in group.members.iter().take(3) {
                outln!("    {}", shortened(&texts[*row], 100))?;
            }
        }
        outln!("\n{} texts in {} groups, {ungrouped} in no group", texts.len() - ungrouped, groups.len())?;
        if let Some(k) = method.groups().filter(|k| groups.len() < *k) {
            let (found, all) = (groups.len(), texts.len());
            errln!("note: found {found} groups instead of {k}: the {all} texts have only {found} distinct embeddings");
        }
        let quality = quality(context, rows.view(), &labels, truth.as_deref());
        if groups.len() > 1 {
            outln!("silhouette     {:.4}", quality.silhouette)?;
        }
        if let (Some(v), Some(rand)) = (quality.v_measure, quality.adjusted_rand) {
            outln!(
                "V-measure      {:.4} (homogeneity {:.4}, completeness {:.4})",
                v.v_measure,
                v.homogeneity,
                v.completeness
            )?;
            outln!("adjusted Rand  {rand:.4}")?;
        }
        if let Some(path) = &self.output {
            let line = |(text, label): (&String, &Option<usize>)| serde_json::json!({"text": text, "group": label});
            write_lines(Some(path), texts.iter().zip(&labels).map(|pair| Ok(line(pair).to_string())))?;
        }
        if let Some(path) = &self.html {
            let whole = rows.columns();
            let dims = [whole, 512, 256, 128, 64, 32];
            let dims: Vec<usize> = dims.into_iter().filter(|dim| *dim <= whole).collect();
            let mut dims = dims;
            dims.dedup();
            let dot = |(row, text): (usize, &String)| Dot {
                text: shortened(text, 300),
                group: labels[row],
                label: truth.as_ref().map(|truth| truth[row].clone()),
            };
            let legend = groups.iter().enumerate().map(|(number, group)| {
                format!("{number}: {}", group.words.iter().take(4).cloned().collect::<Vec<_>>().join(", "))
            });
            let name = self.file.file_name().unwrap_or_default().to_string_lossy();
            let map = Map {
                title: format!("{} texts of {name} in {} groups", texts.len(), groups.len()),
                legend: legend.collect(),
                dots: texts.iter().enumerate().map(dot).collect(),
                views: views(context, rows.view(), &dims)?,
            };
            write_lines(Some(path), std::iter::once(Ok(map.page())))?;
            outln!("map            {}", path.display())?;
        }
        Ok(())
    }
}

/// Returns at most `length` characters of a text, on one line.
fn shortened(text: &str, length: usize) -> String {
    let line = text.replace(['\n', '\r', '\t'], " ");
    if line.chars().count() <= length { line } else { line.chars().take(length).chain(['…']).collect() }
}
