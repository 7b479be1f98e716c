//! Groups of horizontal bars, for light and dark pages.

use crate::scale::Scale;
use std::fmt::Write;

/// Width of a letter, about.
const LETTER: f64 = 7.2;
/// Width of the longest bar, and of the value behind it.
const LONGEST: f64 = 420.0;
const RIGHT: f64 = 70.0;
const BAR: f64 = 18.0;
const HEADING: f64 = 30.0;
const TOP: f64 = 44.0;

/// Style sheet of a chart.
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif;fill:#1b1b1b}\
.title{font-size:15px;font-weight:600}.group{font-weight:600}.quiet{fill:#595959}\
.paper{fill:#fff}.peer{fill:#9aa5b1}.ours{fill:#0b7a53}\
.value{paint-order:stroke;stroke:#fff;stroke-width:5px}.target{stroke:#b3261e;stroke-width:2;stroke-dasharray:3 2}\
@media(prefers-color-scheme:dark){text{fill:#eaeaea}.quiet{fill:#a8a8a8}.paper{fill:#151515}.peer{fill:#66717d}\
.ours{fill:#35c08c}.value{stroke:#151515}.target{stroke:#ff8a80}}";

/// Texts of a chart.
pub struct Labels {
    /// Description for screen readers.
    pub description: &'static str,
    /// Heading.
    pub heading: &'static str,
    /// Text next to the heading, may be empty.
    pub aside: &'static str,
}

/// Bars to compare.
pub struct Group<'a> {
    /// Title of the group.
    pub title: String,
    /// Name, whether it is ours, and value.
    pub bars: Vec<(&'a str, bool, f64)>,
    /// Target value of ours.
    pub target: Option<f64>,
}

/// Draws all groups, each with a scale of its own.
pub fn grouped_bars(labels: &Labels, groups: &[Group<'_>]) -> String {
    let names = groups.iter().flat_map(|group| &group.bars).map(|(name, ..)| name.chars().count());
    let left = (LETTER * names.max().unwrap_or_default() as f64 + 24.0).round();
    let width = left + LONGEST + RIGHT;
    let height = TOP + groups.iter().map(Group::height).sum::<f64>() + 12.0;
    let Labels { description, heading, aside } = labels;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title\"><title id=\"title\">{description}</title><style>{STYLE}</style>\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"12\" y=\"24\">{heading}</text>"
    );
    if !aside.is_empty() {
        let edge = width - 12.0;
        let _ = write!(svg, "<text class=\"quiet\" x=\"{edge}\" y=\"24\" text-anchor=\"end\">{aside}</text>");
    }
    svg.push('\n');
    let mut y = TOP;
    for group in groups {
        group.draw(&mut svg, y, left);
        y += group.height();
    }
    svg + "</svg>\n"
}

impl Group<'_> {
    fn longest(&self) -> f64 {
        self.bars.iter().map(|bar| bar.2).chain(self.target).fold(f64::MIN_POSITIVE, f64::max)
    }

    fn height(&self) -> f64 {
        HEADING + BAR * self.bars.len() as f64
    }

    fn draw(&self, svg: &mut String, top: f64, left: f64) {
        let scale = Scale { values: (0.0, self.longest()), positions: (left, left + LONGEST) };
        let _ = writeln!(svg, "<text class=\"group\" x=\"12\" y=\"{}\">{}</text>", top + 20.0, self.title);
        let mut values = String::new();
        for (index, (name, ours, speed)) in self.bars.iter().enumerate() {
            let y = top + HEADING + BAR * index as f64 - 4.0;
            let (class, end) = (if *ours { "ours" } else { "peer" }, scale.position(*speed));
            let length = end - left;
            let (edge, line, after) = (left - 8.0, y + 12.0, end + 6.0);
            let thick = BAR - 4.0;
            let _ = writeln!(
                svg,
                "<text x=\"{edge}\" y=\"{line}\" text-anchor=\"end\">{name}</text>\
                 <rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{length:.1}\" height=\"{thick}\" rx=\"2\"/>"
            );
            let _ = writeln!(values, "<text class=\"value\" x=\"{after:.1}\" y=\"{line}\">{speed:.2}×</text>");
        }
        if let Some(target) = self.target {
            let (x, from) = (scale.position(target), top + HEADING - 6.0);
            let to = top + self.height() - 6.0;
            let _ = writeln!(svg, "<path class=\"target\" d=\"M{x:.1},{from}V{to}\"/>");
        }
        *svg += &values;
    }
}
