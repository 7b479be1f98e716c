//! Lines over numbers or names, and vertical bars.

use crate::number::short;
use crate::scale::{Scale, tick_label, ticks, widened};
use crate::svg::escape;
use std::fmt::Write;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 18.0;
const BOTTOM: f64 = 44.0;
/// Largest number of points of a line with a mark on each.
const MARKED_POINTS: usize = 40;
/// Maximum number of tooltips of a line.
const TOOLTIPS: usize = 150;
/// Maximum number of drawn points of a line; of more, the highest and lowest of each part are
/// drawn.
const DRAWN_POINTS: usize = 1200;
/// Mean width of a character of the legend.
const LETTER: f64 = 7.2;

/// Source of the colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// The style sheet of the page, with light and dark colours; the title is outside of the chart.
    Page,
    /// A separate file on white, with the title inside.
    White,
}

/// Colours of the series on white, distinguishable with colour blindness and dark enough for thin
/// lines.
pub const COLOURS_ON_WHITE: [&str; 6] = ["#0072b2", "#c75000", "#00805e", "#a63d8f", "#806400", "#555555"];
/// Colours of the series on a dark background.
pub const COLOURS_ON_DARK: [&str; 6] = ["#56b4e9", "#ff9450", "#35cba0", "#e794cc", "#e2c22e", "#c4c4c4"];

/// Style rules of every chart.
pub const STYLE: &str = "\
.chart text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif;fill:var(--chart-ink)}\
.chart .quiet{fill:var(--chart-quiet)}.chart .value{font-size:12px}.chart .heading{font-size:15px;font-weight:600}\
.chart .grid{stroke:var(--chart-grid);stroke-width:1;fill:none}.chart .axis{stroke:var(--chart-quiet);stroke-width:1;fill:none}\
.chart .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\
.chart .hit{fill:transparent;stroke:none}.chart .hit:hover{fill:var(--chart-quiet);fill-opacity:.35}\
.chart .bar:hover{fill-opacity:.65}";

/// A line: its name and its points from left to right. A point that is not finite (or beyond 1e150)
/// leaves a gap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points (x, y); with [`Chart::x_names`], x is the index of the name.
    pub points: Vec<(f64, f64)>,
    /// If `true`, points have labels with three decimals: above the point in the highest labelled
    /// series at that x, below in others.
    pub labelled: bool,
}

/// A chart of lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// Id, unique in the page: letters, digits and hyphens.
    pub id: String,
    /// The title.
    pub title: String,
    /// Description for screen readers.
    pub description: String,
    /// Label of the x axis.
    pub x_label: String,
    /// Label of the y axis.
    pub y_label: String,
    /// Names on the x axis instead of numbers.
    pub x_names: Option<Vec<String>>,
    /// If `true`, the y axis starts at 0.
    pub from_zero: bool,
    /// Lines.
    pub series: Vec<Series>,
}

/// A vertical bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Left edge.
    pub from: f64,
    /// Right edge.
    pub to: f64,
    /// Height.
    pub value: f64,
    /// The tooltip.
    pub tooltip: String,
}

impl Chart {
    /// Draws the lines as one `<svg>` element.
    pub fn lines(&self, paint: Paint) -> String {
        let frame = self.frame(paint);
        let mut out = self.open(&frame, paint);
        if self.finite().next().is_none() {
            frame.empty(&mut out);
        } else {
            frame.axes(&mut out, &self.x_label, &self.y_label, self.x_names.as_deref());
            for (index, series) in self.series.iter().enumerate() {
                self.line(&mut out, &frame, index, series);
            }
        }
        if self.series.len() > 1 {
            out += &self.legend(frame.legend_top).0;
        }
        close(out, paint)
    }

    /// Draws separate charts side by side in one `<svg>` element.
    pub fn lines_side_by_side(charts: &[Chart]) -> String {
        let heights: Vec<f64> = charts.iter().map(|chart| chart.frame(Paint::White).height).collect();
        let (width, height) = (WIDTH * charts.len() as f64, heights.iter().copied().fold(0.0, f64::max));
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{:.0}\" viewBox=\"0 0 {width} {height}\">\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>",
            width * 1.6,
            height * 1.6
        );
        for (number, (chart, height)) in charts.iter().zip(heights).enumerate() {
            let left = WIDTH * number as f64;
            let chart = chart.lines(Paint::White);
            let _ = write!(
                out,
                "<svg x=\"{left}\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {:.0} {:.0}\">{chart}</svg>",
                WIDTH * 1.6,
                height * 1.6
            );
        }
        out + "</svg>"
    }

    fn finite(&self) -> impl Iterator<Item = &(f64, f64)> {
        self.series.iter().flat_map(|series| &series.points).filter(|point| drawable(point))
    }

    fn frame(&self, paint: Paint) -> Frame {
        let legend_rows = if self.series.len() > 1 { self.legend(0.0).1 } else { 0 };
        let mut x_range = extent(self.finite().map(|point| point.0));
        if let Some(names) = &self.x_names {
            x_range = Some((-0.5, names.len() as f64 - 0.5));
        }
        let mut y_range = extent(self.finite().map(|point| point.1));
        if self.from_zero {
            y_range = y_range.map(|(low, high)| (low.min(0.0), high.max(0.0)));
        }
        let headroom = if self.series.iter().any(|series| series.labelled) { 0.08 } else { 0.0 };
        let y_range = y_range.map(|(low, high)| (low, high + headroom * (high - low)));
        Frame::new(x_range, y_range, legend_rows, paint)
    }

    /// Draws bars in the same frame; ignores `self.series`.
    pub fn bars(&self, bars: &[Bar], paint: Paint) -> String {
        let is_drawable = |bar: &&Bar| [bar.from, bar.to].iter().all(|&edge| drawable(&(edge, bar.value)));
        let x_range = extent(bars.iter().filter(is_drawable).flat_map(|bar| [bar.from, bar.to]));
        let highest = bars.iter().filter(is_drawable).map(|bar| bar.value).fold(0.0, f64::max);
        let frame = Frame::new(x_range, x_range.map(|_| (0.0, highest)), 0, paint);
        let mut out = self.open(&frame, paint);
        if x_range.is_none() {
            frame.empty(&mut out);
            return close(out, paint);
        }
        frame.axes(&mut out, &self.x_label, &self.y_label, None);
        for bar in bars.iter().filter(is_drawable).filter(|bar| bar.value > 0.0) {
            let (left, right, top) = (frame.x(bar.from), frame.x(bar.to), frame.y(bar.value));
            let width = (right - left - 1.0).max(1.0);
            let height = frame.y(0.0) - top;
            let tooltip = escape(&bar.tooltip);
            let _ = write!(
                out,
                "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
                 style=\"fill:var(--series-0)\"><title>{tooltip}</title></rect>"
            );
        }
        close(out, paint)
    }

    fn open(&self, frame: &Frame, paint: Paint) -> String {
        let (id, title, description) = (escape(&self.id), escape(&self.title), escape(&self.description));
        let height = frame.height;
        let size = match paint {
            Paint::Page => String::new(),
            Paint::White => format!(" width=\"{:.0}\" height=\"{:.0}\"", WIDTH * 1.6, height * 1.6),
        };
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\"{size} viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-description\"><title id=\"{id}-title\">{title}</title>\
             <desc id=\"{id}-description\">{description}</desc>"
        );
        if paint == Paint::White {
            let _ = write!(
                out,
                "<style>{STYLE}</style><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\
                 <text class=\"heading\" x=\"12\" y=\"22\">{title}</text>"
            );
        }
        out
    }

    fn line(&self, out: &mut String, frame: &Frame, index: usize, series: &Series) {
        let path = path(frame, &series.points);
        let dash = DASHES[index % DASHES.len()];
        let colour = index % COLOURS_ON_WHITE.len();
        let _ = write!(
            out,
            "<path class=\"line\" d=\"{path}\" style=\"stroke:var(--series-{colour})\" stroke-dasharray=\"{dash}\"/>"
        );
        let marked = series.points.len() <= MARKED_POINTS;
        let every = series.points.len().div_ceil(TOOLTIPS).max(1);
        let single = self.series.len() == 1;
        for (number, &(x, y)) in series.points.iter().enumerate() {
            if !drawable(&(x, y)) || !(number % every == 0 || number + 1 == series.points.len()) {
                continue;
            }
            let (left, top) = (frame.x(x), frame.y(y));
            let position = match &self.x_names {
                Some(names) => names.get(x as usize).cloned().unwrap_or_default(),
                None => format!("{} {}", self.x_label, short(x)),
            };
            let name = if single { &self.y_label } else { &series.name };
            let tooltip = escape(&format!("{position} · {name}: {}", short(y)));
            let _ = write!(out, "<g><title>{tooltip}</title>");
            if marked {
                out.push_str(&mark(index, left, top));
            }
            let _ = write!(out, "<circle class=\"hit\" cx=\"{left:.1}\" cy=\"{top:.1}\" r=\"8\"/></g>");
            if series.labelled {
                let (label, at) = (format!("{y:.3}"), top + if self.is_highest(index, x, y) { -11.0 } else { 20.0 });
                let _ = write!(
                    out,
                    "<text class=\"value\" x=\"{left:.1}\" y=\"{at:.1}\" text-anchor=\"middle\">{label}</text>"
                );
            }
        }
    }

    /// Returns whether no other labelled series is higher at this x; of equal values the first is
    /// the highest.
    fn is_highest(&self, index: usize, x: f64, y: f64) -> bool {
        let others = self.series.iter().enumerate().filter(|(other, series)| *other != index && series.labelled);
        let above = |other: usize, value: f64| value > y || (value == y && other < index);
        !others.into_iter().any(|(other, series)| series.points.iter().any(|at| at.0 == x && above(other, at.1)))
    }

    /// Draws the legend below `top`, and returns the number of its rows.
    fn legend(&self, top: f64) -> (String, usize) {
        let (mut out, mut left, mut rows) = (String::new(), LEFT, 1);
        for (index, series) in self.series.iter().enumerate() {
            let width = 34.0 + LETTER * series.name.chars().count() as f64;
            if left + width > WIDTH - RIGHT && left > LEFT {
                left = LEFT;
                rows += 1;
            }
            let middle = top + LEGEND_ROW * (rows as f64 - 0.5);
            let (colour, dash, name) =
                (index % COLOURS_ON_WHITE.len(), DASHES[index % DASHES.len()], escape(&series.name));
            let _ = write!(
                out,
                "<path class=\"line\" d=\"M{left:.1},{middle:.1}h22\" style=\"stroke:var(--series-{colour})\" \
                 stroke-dasharray=\"{dash}\"/>{}<text x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
                mark(index, left + 11.0, middle),
                left + 27.0,
                middle + 4.0
            );
            left += width + 10.0;
        }
        (out, rows)
    }
}

const LEGEND_ROW: f64 = 18.0;
const DASHES: [&str; 3] = ["none", "7 4", "2 4"];

/// Layout of a chart.
struct Frame {
    x_scale: Scale,
    y_scale: Scale,
    y_ticks: Vec<f64>,
    legend_top: f64,
    top: f64,
    bottom: f64,
    height: f64,
}

impl Frame {
    fn new(x: Option<(f64, f64)>, y: Option<(f64, f64)>, legend_rows: usize, paint: Paint) -> Self {
        let heading = if paint == Paint::White { 34.0 } else { 4.0 };
        let extra = heading - 4.0 + LEGEND_ROW * legend_rows as f64;
        let y_ticks = ticks(widened(y.unwrap_or((0.0, 1.0))), 5);
        let height = HEIGHT + extra;
        let (top, bottom) = (extra + 34.0, height - BOTTOM);
        Self {
            x_scale: Scale { values: widened(x.unwrap_or((0.0, 1.0))), positions: (LEFT, WIDTH - RIGHT) },
            y_scale: Scale { values: (y_ticks[0], y_ticks[y_ticks.len() - 1]), positions: (bottom, top) },
            y_ticks,
            legend_top: heading,
            top,
            bottom,
            height,
        }
    }

    fn x(&self, value: f64) -> f64 {
        self.x_scale.position(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.y_scale.position(value)
    }

    fn axes(&self, out: &mut String, x_label: &str, y_label: &str, x_names: Option<&[String]>) {
        let (right, bottom) = (WIDTH - RIGHT, self.bottom);
        let step = self.y_ticks[1] - self.y_ticks[0];
        for &tick in &self.y_ticks {
            let (top, label) = (self.y(tick), tick_label(tick, step));
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT},{top:.1}H{right}\"/>\
                 <text class=\"quiet\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 7.0,
                top + 4.0
            );
        }
        let _ = write!(out, "<path class=\"axis\" d=\"M{LEFT},{bottom}H{right}\"/>");
        let mut x_tick = |value: f64, label: &str| {
            let left = self.x(value);
            let _ = write!(
                out,
                "<path class=\"axis\" d=\"M{left:.1},{bottom}v5\"/>\
                 <text class=\"quiet\" x=\"{left:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                escape(label)
            );
        };
        match x_names {
            Some(names) => names.iter().enumerate().for_each(|(index, name)| x_tick(index as f64, name)),
            None => {
                let (low, high) = self.x_scale.values;
                let all = ticks((low, high), 6);
                let step = all[1] - all[0];
                let slack = 1e-9 * (high - low);
                let inside = |tick: &&f64| **tick >= low - slack && **tick <= high + slack;
                all.iter().filter(inside).for_each(|&tick| x_tick(tick, &tick_label(tick, step)));
            }
        }
        let _ = write!(
            out,
            "<text class=\"quiet\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"quiet\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            (LEFT + right) / 2.0,
            bottom + 36.0,
            escape(x_label),
            12.0,
            self.top - 14.0,
            escape(y_label)
        );
    }

    fn empty(&self, out: &mut String) {
        let middle = (self.top + self.bottom) / 2.0;
        let _ = write!(
            out,
            "<text class=\"quiet\" x=\"{}\" y=\"{middle:.1}\" text-anchor=\"middle\">nothing was recorded</text>",
            WIDTH / 2.0
        );
    }
}

/// Draws the mark of series `index` at a point. Each series has its own shape, so that lines are
/// distinguishable without colour.
fn mark(index: usize, x: f64, y: f64) -> String {
    let shape = match index % 4 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\""),
        1 => format!("<rect x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\"", x - 3.5, y - 3.5),
        2 => format!("<path d=\"M{x:.1},{:.1}l4.5,8h-9z\"", y - 5.0),
        _ => format!("<path d=\"M{x:.1},{:.1}l5,5l-5,5l-5,-5z\"", y - 5.0),
    };
    format!("{shape} style=\"fill:var(--series-{})\"/>", index % COLOURS_ON_WHITE.len())
}

/// Returns the path through the points, with gaps at points that are not finite.
fn path(frame: &Frame, points: &[(f64, f64)]) -> String {
    let (mut out, mut drawing) = (String::new(), false);
    for (x, y) in thinned(points) {
        if !drawable(&(x, y)) {
            drawing = false;
            continue;
        }
        let _ = write!(out, "{}{:.1},{:.1}", if drawing { 'L' } else { 'M' }, frame.x(x), frame.y(y));
        drawing = true;
    }
    out
}

/// Returns the points, or for large numbers the lowest and the highest of each part, so that peaks
/// remain visible.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= DRAWN_POINTS {
        return points.to_vec();
    }
    let length = points.len().div_ceil(DRAWN_POINTS / 2);
    let mut kept = Vec::with_capacity(DRAWN_POINTS);
    for part in points.chunks(length) {
        let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let ends = [part.iter().min_by(by_height), part.iter().max_by(by_height)];
        let mut ends: Vec<(f64, f64)> = ends.into_iter().flatten().copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        kept.extend(ends);
    }
    kept
}

/// Returns whether a point is finite, and not so large that the range overflows.
fn drawable(&(x, y): &(f64, f64)) -> bool {
    x.abs() < 1e150 && y.abs() < 1e150
}

fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

/// Closes the element; on white, variables are replaced by colours, because some viewers do not
/// support variables.
fn close(mut out: String, paint: Paint) -> String {
    out += "</svg>";
    if paint == Paint::White {
        for (name, colour) in [("ink", "#1b1b1b"), ("quiet", "#595959"), ("grid", "#e3e3e3")] {
            out = out.replace(&format!("var(--chart-{name})"), colour);
        }
        for (index, colour) in COLOURS_ON_WHITE.iter().enumerate() {
            out = out.replace(&format!("var(--series-{index})"), colour);
        }
    }
    out
}

#[cfg(test)]
mod tests;
