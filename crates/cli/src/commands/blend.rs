//! `maana blend`

use crate::terminal;
use anyhow::{Result, bail};
use maana::blend::{Method, blend, last_checkpoints};
use maana::kernels::Context;
use std::path::{Path, PathBuf};

/// Blend models of one shape into one, such as a base and what was trained from it.
#[derive(clap::Args)]
#[command(after_help = "\
A blend of a base with a model that was trained from it keeps most of the gain and forgets less (docs/blending.md). \
Models must have one shape, tokenizer, pooling and prompts.

Methods:
  linear  the weighted mean of all models
  slerp   along the arc between two models, tensor by tensor; further ones one after another
  ties    changes from the first model, the base: the largest, where models agree on the sign

Examples:
  maana blend BASE runs/first/model --weights 0.3,0.7 --out blended
  maana blend BASE legal news --method ties --density 0.2 --out both
  maana blend --checkpoints runs/first --last 3 --out averaged")]
pub(crate) struct Blend {
    /// Models: folders, names on the hub, or name@revision
    #[arg(value_name = "MODEL", required_unless_present = "checkpoints")]
    models: Vec<String>,
    /// Method of combining parameters
    #[arg(long, value_enum, value_name = "NAME", default_value = "linear", hide_possible_values = true)]
    method: MethodName,
    /// A weight for each model, with the sum 1; for ties one for each model but the first, of any
    /// sum [default: equal weights]
    #[arg(long, value_delimiter = ',', value_name = "W,W,…", allow_hyphen_values = true)]
    weights: Vec<f64>,
    /// Share of the largest changes of a tensor that ties keeps [default: 0.2]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    density: Option<f64>,
    /// Factor of the merged change of ties [default: 1]
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    lambda: Option<f64>,
    /// Blend the last checkpoints of this run of `maana train`
    #[arg(long, value_name = "RUN", conflicts_with_all = ["models", "weights", "method"], requires = "last")]
    checkpoints: Option<PathBuf>,
    /// Number of checkpoints
    #[arg(long, value_name = "K", requires = "checkpoints", value_parser = clap::value_parser!(u32).range(2..))]
    last: Option<u32>,
    /// Folder of the result
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Value of `--method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum MethodName {
    Linear,
    Slerp,
    Ties,
}

impl Blend {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let models = match (&self.checkpoints, self.last) {
            (Some(run), Some(last)) => {
                let folders = last_checkpoints(run, last as usize)?;
                folders.into_iter().map(|folder| folder.display().to_string()).collect()
            }
            (None, Some(_)) => bail!("--last belongs to --checkpoints; omit it, or name a run in place of the models"),
            (_, None) => self.models.clone(),
        };
        let inputs: Vec<&Path> = models.iter().map(Path::new).collect();
        if inputs.iter().any(|input| maana::files::is_same(input, &self.out)) {
            bail!(
                "{}: this is a model of the blend, which would be overwritten; give --out another path",
                self.out.display()
            );
        }
        terminal::check_destination(&self.out)?;
        let method = self.method(models.len())?;
        terminal::fetching(|notify| blend(&models, &method, &self.out, context, notify))?;
        outln!("model   {}", self.out.display())
    }

    fn method(&self, models: usize) -> Result<Method> {
        if let (Some(option), MethodName::Linear | MethodName::Slerp) =
            (self.density.map(|_| "--density").or(self.lambda.map(|_| "--lambda")), self.method)
        {
            bail!("{option} has an effect only with --method ties");
        }
        let weights = |equal: f64, count: usize| match self.weights.is_empty() {
            true => vec![equal; count],
            false => self.weights.clone(),
        };
        Ok(match self.method {
            MethodName::Linear => Method::Linear { weights: weights(1.0 / models as f64, models) },
            MethodName::Slerp => Method::Slerp { weights: weights(1.0 / models as f64, models) },
            MethodName::Ties => Method::Ties {
                weights: weights(1.0, models.saturating_sub(1)),
                density: self.density.unwrap_or(0.2),
                lambda: self.lambda.unwrap_or(1.0),
            },
        })
    }
}
