//! Activates sweeps at their cron times. A sweep never runs twice at once; a time that was missed
//! because it was still running, or because the machine slept, is made up for once. Knows no
//! store and no rules: it only calls what it is given.

use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Local};
use tokio::sync::watch;

/// When to run: a cron expression of six fields (second, minute, hour, day of month, month, day of
/// week) in local time.
#[derive(Clone, Debug)]
pub struct Schedule(cron::Schedule);

impl FromStr for Schedule {
    type Err = String;

    /// Fails with a sentence that says what six fields are expected.
    fn from_str(text: &str) -> Result<Self, String> {
        let fields = text.split_whitespace().count();
        if fields != 6 {
            return Err(format!(
                "`{text}` has {fields} fields, but a schedule has six: second minute hour day month weekday, such as `0 */15 * * * *`"
            ));
        }
        cron::Schedule::from_str(text).map(Self).map_err(|error| {
            let error = error.to_string();
            format!(
                "`{text}` is no schedule: {}",
                error.lines().next().unwrap_or_default()
            )
        })
    }
}

impl Schedule {
    /// The first time after that one, if there is any.
    pub fn after(&self, time: DateTime<Local>) -> Option<DateTime<Local>> {
        self.0.after(&time).next()
    }
}

/// The longest uninterrupted sleep: the clock may be set, or the machine suspended, meanwhile.
const NAP: Duration = Duration::from_secs(20);

/// Runs `activate` at every time of the schedule until `stop` turns true; an activation under way
/// is waited for. `now` is the clock.
pub async fn run<F, Fut>(
    schedule: &Schedule,
    now: impl Fn() -> DateTime<Local>,
    mut stop: watch::Receiver<bool>,
    mut activate: F,
) where
    F: FnMut() -> Fut,
    Fut: Future<Output = ()>,
{
    let mut last = now();
    // Times that pass while an activation runs count as one: `last` is when it was due.
    while let Some(due) = schedule.after(last) {
        if !wait_until(due, &now, &mut stop).await {
            return;
        }
        last = due;
        while let Some(next) = schedule.after(last).filter(|next| *next <= now()) {
            last = next;
        }
        activate().await;
        if *stop.borrow() {
            return;
        }
    }
}

/// `false` if it was told to stop first.
async fn wait_until(
    due: DateTime<Local>,
    now: &impl Fn() -> DateTime<Local>,
    stop: &mut watch::Receiver<bool>,
) -> bool {
    loop {
        if *stop.borrow() {
            return false;
        }
        let Ok(left) = (due - now()).to_std() else {
            return true;
        };
        if left.is_zero() {
            return true;
        }
        tokio::select! {
            () = tokio::time::sleep(left.min(NAP)) => {}
            changed = stop.changed() => if changed.is_err() { return false; },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicI64, Ordering};

    use chrono::TimeZone;

    use super::*;

    #[test]
    fn a_schedule_has_six_fields() {
        let error = "*/15 * * * *".parse::<Schedule>().unwrap_err();
        assert!(
            error.contains("has 5 fields") && error.contains("0 */15 * * * *"),
            "{error}"
        );
        let error = "0 99 * * * *".parse::<Schedule>().unwrap_err();
        assert!(error.contains("no schedule"), "{error}");
    }

    #[test]
    fn knows_the_next_quarter_of_an_hour() {
        let schedule: Schedule = "0 */15 * * * *".parse().unwrap();
        let at = Local.with_ymd_and_hms(2026, 11, 22, 1, 16, 0).unwrap();
        let next = Local.with_ymd_and_hms(2026, 11, 22, 1, 30, 0).unwrap();
        assert_eq!(schedule.after(at), Some(next));
    }

    #[tokio::test]
    async fn missed_times_run_once_and_stop_ends_it() {
        let schedule: Schedule = "* * * * * *".parse().unwrap();
        let (stop, stopped) = watch::channel(false);
        // The machine sleeps for a hundred seconds during each activation.
        let jumps = AtomicI64::new(0);
        let now = || Local::now() + chrono::TimeDelta::seconds(jumps.load(Ordering::SeqCst));
        let began = Mutex::new(Vec::new());
        run(&schedule, now, stopped, || async {
            let mut began = began.lock().unwrap();
            began.push(now());
            jumps.fetch_add(100, Ordering::SeqCst);
            if began.len() == 3 {
                stop.send(true).unwrap();
            }
        })
        .await;
        let began = began.into_inner().unwrap();
        assert_eq!(began.len(), 3);
        assert!((began[2] - began[0]).num_seconds() >= 200, "{began:?}");
    }
}
