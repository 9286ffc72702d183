//! The model that `picket train` wrote: a support vector machine over sets of commands, with a
//! curve that makes a probability of its margin. Reading only; the training is Picket's.

/// A set of commands is a bit each, in the order of the table.
pub(crate) struct Model {
    gamma: f64,
    smoothing: f64,
    bias: f64,
    /// Slope and offset of the probability.
    curve: (f64, f64),
    /// Probability from which a host is suspicious.
    pub(crate) threshold: f64,
    /// Sets of commands and how much each speaks for an intruder.
    vectors: Vec<(u64, f64)>,
}

impl Model {
    /// Reads a model's file: lines `name value...`, and after `vectors` a line for each of them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut model = Self {
            gamma: f64::NAN,
            smoothing: f64::NAN,
            bias: f64::NAN,
            curve: (f64::NAN, f64::NAN),
            threshold: f64::NAN,
            vectors: Vec::new(),
        };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let name = words.next()?;
            let mut number = || decimal(words.next()?);
            match name {
                "gamma" => model.gamma = number()?,
                "smoothing" => model.smoothing = number()?,
                "bias" => model.bias = number()?,
                "curve" => model.curve = (number()?, number()?),
                "threshold" => model.threshold = number()?,
                "digest" | "commands" | "cost" | "vectors" => {}
                set => {
                    let set = u64::from_str_radix(set, 16).ok()?;
                    model.vectors.push((set, number()?));
                }
            }
        }
        let known = [
            model.gamma,
            model.smoothing,
            model.bias,
            model.curve.0,
            model.curve.1,
        ];
        (known.iter().all(|number| number.is_finite()) && model.threshold.is_finite())
            .then_some(model)
    }

    /// Above 0: more like an intruder's than like an administrator's.
    pub(crate) fn margin(&self, ran: u64) -> f64 {
        let kernel = |set: u64| {
            let both = f64::from((ran & set).count_ones()) + self.smoothing;
            let either = f64::from((ran | set).count_ones()) + self.smoothing;
            (self.gamma * (both / either - 1.0)).exp()
        };
        self.vectors
            .iter()
            .map(|(set, weight)| weight * kernel(*set))
            .sum::<f64>()
            + self.bias
    }

    /// The probability of that margin.
    pub(crate) fn probability(&self, margin: f64) -> f64 {
        1.0 / (1.0 + (-(self.curve.0 * margin + self.curve.1)).exp())
    }
}

/// A number such as `-1.25`. The standard library's reader knows more and is a fifth of the
/// module's size.
fn decimal(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let number = |digits: &str| {
        digits.bytes().try_fold(0_u64, |sum, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        })
    };
    let scale = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
    let scaled = number(whole)?
        .checked_mul(scale)?
        .checked_add(number(part)?)?;
    Some(sign * (scaled as f64 / scale as f64))
}
