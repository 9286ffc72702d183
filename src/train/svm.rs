//! A support vector machine over sets of commands: sequential minimal optimisation with
//! second-order working sets, as in Fan, Chen and Lin, "Working Set Selection Using Second Order
//! Information for Training Support Vector Machines" (2005), and a probability for its margin
//! after Lin, Lin and Weng, "A Note on Platt's Probabilistic Outputs" (2007).

use serde::Serialize;

/// The optimum is reached to that.
const TOLERANCE: f64 = 1e-3;
const MAX_STEPS: usize = 1_000_000;

/// How alike two sets of commands are, and how much a mistake in training costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// The kernel is `exp(gamma * (t - 1))`, where `t` is the share of the commands of either set
    /// that both have.
    pub gamma: f64,
    /// Added to both counts of that share: how far apart the smallest sets are.
    pub smoothing: f64,
    /// The greatest weight of a row.
    pub cost: f64,
}

impl Default for Settings {
    /// Those of the bundled model.
    fn default() -> Self {
        Self {
            gamma: 4.0,
            smoothing: 0.5,
            cost: 3.0,
        }
    }
}

impl Settings {
    /// The kernel. It is positive definite: `t` is (Gower 1971), the added counts are a feature
    /// that all sets have, and so is the exponential of such a kernel.
    pub fn kernel(&self, a: u64, b: u64) -> f64 {
        let both = f64::from((a & b).count_ones()) + self.smoothing;
        let either = f64::from((a | b).count_ones()) + self.smoothing;
        (self.gamma * (both / either - 1.0)).exp()
    }
}

/// The kernel of every two rows.
pub(super) struct Kernels {
    rows: usize,
    values: Vec<f64>,
}

impl Kernels {
    pub(super) fn new(settings: &Settings, sets: &[u64]) -> Self {
        let values = sets
            .iter()
            .flat_map(|a| sets.iter().map(|b| settings.kernel(*a, *b)))
            .collect();
        Self {
            rows: sets.len(),
            values,
        }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.rows..(row + 1) * self.rows]
    }
}

/// What was learnt: weights of rows, positive for an intruder's.
pub(super) struct Machine {
    /// Rows with a weight.
    pub(super) weights: Vec<(usize, f64)>,
    pub(super) bias: f64,
}

impl Machine {
    /// The margin of a row of the table.
    pub(super) fn margin(&self, kernels: &Kernels, row: usize) -> f64 {
        let kernel = kernels.row(row);
        let sum: f64 = self
            .weights
            .iter()
            .map(|(at, weight)| weight * kernel[*at])
            .sum();
        sum + self.bias
    }
}

/// Learns from some rows of the table.
pub(super) fn fit(kernels: &Kernels, rows: &[usize], attacks: &[bool], cost: f64) -> Machine {
    let labels: Vec<f64> = rows
        .iter()
        .map(|row| if attacks[*row] { 1.0 } else { -1.0 })
        .collect();
    let mut alphas = vec![0.0; rows.len()];
    // Of the dual problem, by alpha.
    let mut gradient = vec![-1.0; rows.len()];
    for _ in 0..MAX_STEPS {
        let Some((i, j)) = working_set(kernels, rows, &labels, &alphas, &gradient, cost) else {
            break;
        };
        let (kernel_i, kernel_j) = (kernels.row(rows[i]), kernels.row(rows[j]));
        let curvature =
            (kernel_i[rows[i]] + kernel_j[rows[j]] - 2.0 * kernel_i[rows[j]]).max(1e-12);
        // Along y_i a_i + y_j a_j = constant, as far as both stay in 0..=cost.
        let wanted = (labels[j] * gradient[j] - labels[i] * gradient[i]) / curvature;
        let room = |label: f64, alpha: f64, sign: f64| {
            if label * sign > 0.0 {
                cost - alpha
            } else {
                alpha
            }
        };
        let step = wanted
            .min(room(labels[i], alphas[i], 1.0))
            .min(room(labels[j], alphas[j], -1.0));
        alphas[i] = bounded(alphas[i] + labels[i] * step, cost);
        alphas[j] = bounded(alphas[j] - labels[j] * step, cost);
        for (t, row) in rows.iter().enumerate() {
            gradient[t] += labels[t] * step * (kernel_i[*row] - kernel_j[*row]);
        }
    }
    let weights = rows
        .iter()
        .zip(alphas.iter().zip(&labels))
        .filter(|(_, (alpha, _))| **alpha > 0.0)
        .map(|(row, (alpha, label))| (*row, alpha * label))
        .collect();
    Machine {
        weights,
        bias: bias(&labels, &alphas, &gradient, cost),
    }
}

/// Rounding must not leave a weight beside its bound, where it would be moved forever.
fn bounded(alpha: f64, cost: f64) -> f64 {
    if alpha < 1e-12 {
        0.0
    } else if alpha > cost - 1e-12 {
        cost
    } else {
        alpha
    }
}

fn can_rise(label: f64, alpha: f64, cost: f64) -> bool {
    if label > 0.0 {
        alpha < cost
    } else {
        alpha > 0.0
    }
}

/// The pair of rows whose weights promise most; `None` at the optimum.
fn working_set(
    kernels: &Kernels,
    rows: &[usize],
    labels: &[f64],
    alphas: &[f64],
    gradient: &[f64],
    cost: f64,
) -> Option<(usize, usize)> {
    let slope = |t: usize| -labels[t] * gradient[t];
    let i = (0..rows.len())
        .filter(|t| can_rise(labels[*t], alphas[*t], cost))
        .max_by(|a, b| slope(*a).total_cmp(&slope(*b)))?;
    let (highest, kernel) = (slope(i), kernels.row(rows[i]));
    let (mut lowest, mut best) = (f64::INFINITY, None);
    let mut best_gain = 0.0;
    for t in (0..rows.len()).filter(|t| can_rise(-labels[*t], alphas[*t], cost)) {
        lowest = slope(t).min(lowest);
        let gap = highest - slope(t);
        if gap > 0.0 {
            let curvature = (2.0 - 2.0 * kernel[rows[t]]).max(1e-12);
            let gain = gap * gap / curvature;
            if gain > best_gain {
                (best_gain, best) = (gain, Some(t));
            }
        }
    }
    (highest - lowest >= TOLERANCE).then_some((i, best?))
}

/// From the rows on the margin; if none is, the middle of what the others allow.
fn bias(labels: &[f64], alphas: &[f64], gradient: &[f64], cost: f64) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    for ((label, alpha), gradient) in labels.iter().zip(alphas).zip(gradient) {
        let value = -label * gradient;
        if *alpha > 0.0 && *alpha < cost {
            sum += value;
            count += 1.0;
        } else if can_rise(*label, *alpha, cost) {
            low = low.max(value);
        } else {
            high = high.min(value);
        }
    }
    if count > 0.0 {
        sum / count
    } else {
        (low + high) / 2.0
    }
}

/// The curve that makes probabilities of margins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Its slope.
    pub slope: f64,
    /// Its value at the margin 0, as log odds.
    pub offset: f64,
}

impl Curve {
    /// The probability of that margin.
    pub fn probability(&self, margin: f64) -> f64 {
        1.0 / (1.0 + (-(self.slope * margin + self.offset)).exp())
    }

    /// The most likely curve for margins of rows that were not learnt from, by Newton's method.
    pub(super) fn fit(margins: &[f64], attacks: &[bool]) -> Self {
        let positive = attacks.iter().filter(|attack| **attack).count() as f64;
        let negative = attacks.len() as f64 - positive;
        let target = |attack: bool| {
            if attack {
                (positive + 1.0) / (positive + 2.0)
            } else {
                1.0 / (negative + 2.0)
            }
        };
        let loss = |curve: &Self| -> f64 {
            let one = |(margin, attack): (&f64, &bool)| {
                let odds = curve.slope * margin + curve.offset;
                // ln(1 + e^odds) - target * odds, without overflow.
                odds.max(0.0) + (-odds.abs()).exp().ln_1p() - target(*attack) * odds
            };
            margins.iter().zip(attacks).map(one).sum()
        };
        let mut curve = Self {
            slope: 0.0,
            offset: ((positive + 1.0) / (negative + 1.0)).ln(),
        };
        for _ in 0..100 {
            let (mut g, mut h) = ([0.0; 2], [1e-12, 0.0, 1e-12]);
            for (margin, attack) in margins.iter().zip(attacks) {
                let p = curve.probability(*margin);
                let (error, weight) = (p - target(*attack), p * (1.0 - p));
                g = [g[0] + error * margin, g[1] + error];
                h = [
                    h[0] + weight * margin * margin,
                    h[1] + weight * margin,
                    h[2] + weight,
                ];
            }
            if g[0].abs() < 1e-6 && g[1].abs() < 1e-6 {
                break;
            }
            let determinant = h[0] * h[2] - h[1] * h[1];
            let slope = (h[2] * g[0] - h[1] * g[1]) / determinant;
            let offset = (h[0] * g[1] - h[1] * g[0]) / determinant;
            let before = loss(&curve);
            let next = (0..20).map(|n| 0.5_f64.powi(n)).map(|step| Self {
                slope: curve.slope - step * slope,
                offset: curve.offset - step * offset,
            });
            match next.into_iter().find(|next| loss(next) < before) {
                Some(next) => curve = next,
                None => break,
            }
        }
        curve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        gamma: 4.0,
        smoothing: 0.5,
        cost: 10.0,
    };

    #[test]
    fn learns_what_no_single_command_tells() {
        // Exclusive or of two commands.
        let sets: Vec<u64> = (0..40).map(|n| n & 3 | (n >> 2) << 2).collect();
        let attacks: Vec<bool> = sets.iter().map(|s| (s & 1 != 0) != (s & 2 != 0)).collect();
        let kernels = Kernels::new(&SETTINGS, &sets);
        let rows: Vec<usize> = (0..sets.len()).collect();
        let machine = fit(&kernels, &rows, &attacks, SETTINGS.cost);
        for row in rows {
            assert_eq!(machine.margin(&kernels, row) > 0.0, attacks[row]);
        }
        let sum: f64 = machine.weights.iter().map(|(_, weight)| weight).sum();
        assert!(sum.abs() < 1e-6, "the weights of both kinds must be equal");
        assert!(
            machine
                .weights
                .iter()
                .all(|(_, w)| w.abs() <= SETTINGS.cost + 1e-9)
        );
    }

    #[test]
    fn the_curve_rises_through_the_middle() {
        let margins: Vec<f64> = (-50..=50).map(|n| f64::from(n) / 10.0).collect();
        let attacks: Vec<bool> = margins
            .iter()
            .map(|m| (m * 7.0).sin() * 2.0 + m > 0.0)
            .collect();
        let curve = Curve::fit(&margins, &attacks);
        assert!(curve.slope > 0.0 && curve.probability(0.0) > 0.3 && curve.probability(0.0) < 0.7);
        let expected: f64 = margins.iter().map(|m| curve.probability(*m)).sum();
        let counted = attacks.iter().filter(|a| **a).count() as f64;
        assert!((expected - counted).abs() < 1.5, "{expected} {counted}");
    }
}
