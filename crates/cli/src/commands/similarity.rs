//! `maana similarity`

use anyhow::Result;
use maana::kernels::Pool;
use maana::model::Purpose;
use std::io::IsTerminal;

/// Compare texts with each other.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  maana similarity MODEL \"Mwanamke anashona.\" \"Mama anashona nguo.\" \"Bei imepanda.\"")]
pub(crate) struct Similarity {
    /// A folder, a name on the hub, or name@revision
    model: String,
    #[command(flatten)]
    precision: crate::precision::PrecisionArgument,
    /// The texts
    #[arg(required = true, num_args = 2.., value_name = "TEXT")]
    texts: Vec<String>,
    /// Compare the first N columns only
    #[arg(long, value_name = "N")]
    dim: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Similarity {
    pub(crate) fn run(self, pool: &Pool) -> Result<()> {
        let opened = crate::terminal::open_model(Purpose::Encode, &self.model, pool, self.precision.precision)?;
        let embedder = crate::terminal::embedder(&opened, pool, self.dim)?;
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        let matrix = maana::similarity::similarities(&embedder, pool, &texts)?;
        if self.json {
            let rows: Vec<&[f32]> = (0..matrix.rows()).map(|row| matrix.row(row)).collect();
            say!("{}", serde_json::json!({"texts": texts, "similarities": rows}))?;
            return Ok(());
        }
        let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let header: String = (1..=texts.len()).map(|number| format!("{number:>8}")).collect();
        say!("    {header}")?;
        for (row, text) in texts.iter().enumerate() {
            let cells: String = matrix.row(row).iter().map(|value| cell(*value, coloured)).collect();
            say!("{:>3} {cells}  {text}", row + 1)?;
        }
        Ok(())
    }
}

/// A number of eight characters, on a ground that goes from dark to bright with it.
fn cell(value: f32, coloured: bool) -> String {
    let text = format!("{value:>8.4}");
    if !coloured {
        return text;
    }
    // Colours 232 to 255 of the terminal are greys; from the middle on, black reads better on them.
    let level = (value.clamp(0.0, 1.0) * 23.0).round() as u8;
    let ink = if level > 11 { 16 } else { 231 };
    format!("\x1b[48;5;{}m\x1b[38;5;{ink}m{text}\x1b[0m", 232 + level)
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cells_are_eight_wide_and_coloured_on_demand() {
        assert_eq!(cell(-0.12345, false), " -0.1235");
        assert_eq!(cell(1.0, true), "\x1b[48;5;255m\x1b[38;5;16m  1.0000\x1b[0m");
        assert_eq!(cell(-1.0, true), "\x1b[48;5;232m\x1b[38;5;231m -1.0000\x1b[0m");
    }
}
