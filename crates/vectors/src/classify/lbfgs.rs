//! L-BFGS (Liu & Nocedal 1989) in f64, with a line search by halving that keeps both Wolfe
//! conditions.

use std::collections::VecDeque;

/// Pairs of steps that are remembered.
const MEMORY: usize = 10;

/// Where a smooth function is least, looked for from `x` until no derivative is greater than
/// `tolerance`; with its value. `f` gives the value and writes the gradient.
pub(super) fn minimise(
    mut x: Vec<f64>,
    tolerance: f64,
    iterations: usize,
    mut f: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> (Vec<f64>, f64) {
    let size = x.len();
    let mut gradient = vec![0.0; size];
    let mut value = f(&x, &mut gradient);
    // Steps, changes of the gradient, and 1 / (step · change).
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    for _ in 0..iterations {
        if gradient.iter().all(|derivative| derivative.abs() <= tolerance) {
            break;
        }
        let mut direction = towards(&gradient, &memory);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            // What is remembered leads nowhere: straight down instead.
            memory.clear();
            direction = gradient.iter().map(|derivative| -derivative).collect();
            slope = dot(&direction, &gradient);
        }
        let first = if memory.is_empty() { 1.0 / slope.abs().sqrt().max(1.0) } else { 1.0 };
        let Some((next, next_value, next_gradient)) = search(&x, value, slope, &direction, first, &mut f) else {
            if memory.is_empty() {
                // Not even straight down is lower: the value is as low as its rounding lets it be.
                break;
            }
            memory.clear();
            continue;
        };
        let step: Vec<f64> = next.iter().zip(&x).map(|(next, x)| next - x).collect();
        let change: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(next, before)| next - before).collect();
        let curvature = dot(&step, &change);
        if curvature > 0.0 {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back((step, change, 1.0 / curvature));
        }
        (x, value, gradient) = (next, next_value, next_gradient);
    }
    (x, value)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// −H · gradient, by the two loops.
fn towards(gradient: &[f64], memory: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|derivative| -derivative).collect();
    let mut along = Vec::with_capacity(memory.len());
    for (step, change, inverse) in memory.iter().rev() {
        let a = inverse * dot(step, &direction);
        direction.iter_mut().zip(change).for_each(|(d, change)| *d -= a * change);
        along.push(a);
    }
    if let Some((_, change, inverse)) = memory.back() {
        let scale = 1.0 / (inverse * dot(change, change));
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((step, change, inverse), a) in memory.iter().zip(along.into_iter().rev()) {
        let b = inverse * dot(change, &direction);
        direction.iter_mut().zip(step).for_each(|(d, step)| *d += (a - b) * step);
    }
    direction
}

type Point = (Vec<f64>, f64, Vec<f64>);

/// A point that is enough lower and enough flatter; none if rounding hides all of them.
fn search(
    x: &[f64],
    value: f64,
    slope: f64,
    direction: &[f64],
    first: f64,
    f: &mut impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Option<Point> {
    let (mut low, mut high, mut t) = (0.0, f64::INFINITY, first);
    let mut best: Option<Point> = None;
    for _ in 0..60 {
        let point: Vec<f64> = x.iter().zip(direction).map(|(x, d)| x + t * d).collect();
        let mut gradient = vec![0.0; x.len()];
        let here = f(&point, &mut gradient);
        // A value that is not a number is as one that is too high.
        let low_enough = here <= value + 1e-4 * t * slope;
        let flat_enough = dot(&gradient, direction) >= 0.9 * slope;
        if !low_enough {
            high = t;
        } else if !flat_enough {
            best = Some((point, here, gradient));
            low = t;
        } else {
            return Some((point, here, gradient));
        }
        t = if high.is_finite() { (low + high) / 2.0 } else { 2.0 * low };
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_bottom_of_a_bent_valley() {
        // Rosenbrock's function in ten dims: its least value is 0 at ones.
        let f = |x: &[f64], g: &mut [f64]| {
            g.fill(0.0);
            let mut value = 0.0;
            for i in 0..x.len() - 1 {
                let (a, b) = (x[i + 1] - x[i] * x[i], 1.0 - x[i]);
                value += 100.0 * a * a + b * b;
                g[i] += -400.0 * x[i] * a - 2.0 * b;
                g[i + 1] += 200.0 * a;
            }
            value
        };
        let (x, value) = minimise(vec![-1.2; 10], 1e-9, 1000, f);
        assert!(value < 1e-16 && x.iter().all(|x| (x - 1.0).abs() < 1e-8), "{value} at {x:?}");
    }

    #[test]
    fn a_start_at_the_bottom_stays() {
        let (x, value) = minimise(vec![0.0, 0.0], 1e-9, 10, |x, g| {
            g.copy_from_slice(x);
            (x[0] * x[0] + x[1] * x[1]) / 2.0
        });
        assert_eq!((x, value), (vec![0.0, 0.0], 0.0));
    }
}
