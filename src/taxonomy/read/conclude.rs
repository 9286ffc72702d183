//! What can be said of a document only once all of it is read: its route, its user, a registry
//! value. Never reads JSON.

use super::Walk;
use crate::taxonomy::FieldId;
use crate::taxonomy::event::{Slots, Text};
use crate::taxonomy::log_source::{Origin, Route};
use crate::taxonomy::shape::{Aside, rank};

impl Walk<'_, '_> {
    /// The text of an aside, unless it says nothing.
    fn aside(&self, aside: Aside) -> Option<&str> {
        said(self.slots, self.source, self.asides[aside as usize])
    }

    /// What can be said only once all is read.
    pub(super) fn conclude(&mut self) {
        let route = self.route();
        self.slots.settle(route);
        self.conclude_user(route);
        self.conclude_registry();
    }

    /// The user, put together from the best pair of name and domain that there is.
    fn conclude_user(&mut self, route: Route) {
        // The header of a Sysmon event names the service's own account.
        let header = match route.is_sysmon() {
            true => None,
            false => Some((Aside::HeaderUser, Aside::HeaderDomain, rank::GUESSED)),
        };
        let pairs = [
            Some((Aside::UserName, Aside::UserDomain, rank::MOVED)),
            Some((Aside::SubjectUser, Aside::SubjectDomain, rank::RENAMED)),
            Some((Aside::TargetUser, Aside::TargetDomain, rank::GUESSED)),
            header,
        ];
        for (name, domain, rank) in pairs.into_iter().flatten() {
            if self.slots.rank(FieldId::USER).is_some_and(|r| r >= rank) {
                break;
            }
            if self.aside(name).is_none() {
                continue;
            }
            let name = self.asides[name as usize];
            let text = match self.aside(domain) {
                Some(_) => {
                    let domain = self.asides[domain as usize];
                    self.slots.joined(self.source, domain, "\\", name)
                }
                None => name,
            };
            if let Some(text) = text {
                self.slots.fill(FieldId::USER, rank, text, true);
            }
            break;
        }
    }

    /// `Details` as Sysmon writes it: Winlogbeat's pipeline makes a decimal of a DWORD.
    fn conclude_registry(&mut self) {
        let Some(field) = self.plan.details else {
            return;
        };
        let Some(data) = self.asides[Aside::RegistryData as usize] else {
            return;
        };
        if self.slots.rank(field).is_some() {
            return;
        }
        let kind = self.aside(Aside::RegistryType).unwrap_or_default();
        let is_qword = kind.contains("QWORD");
        let number: Option<u64> = match is_qword || kind.contains("DWORD") {
            true => self.aside(Aside::RegistryData).and_then(|n| n.parse().ok()),
            false => None,
        };
        let text = match number {
            Some(number) if is_qword => {
                let (high, low) = (number >> 32, number & 0xffff_ffff);
                let pieces = format_args!("QWORD ({high:#010x}-{low:#010x})");
                self.slots.formatted(pieces)
            }
            Some(number) => self.slots.formatted(format_args!("DWORD ({number:#010x})")),
            None => Some(data),
        };
        if let Some(text) = text {
            self.slots.fill(field, rank::MOVED, text, true);
        }
    }

    fn route(&mut self) -> Route {
        let (slots, source) = (&*self.slots, self.source);
        let event_id = slots.first_text(source, FieldId::EVENT_ID);
        let provider = slots.first_text(source, FieldId::PROVIDER);
        let channel = said(slots, source, self.asides[Aside::Channel as usize]);
        if event_id.is_some() || channel.is_some() {
            let channel = match &mut self.trail {
                Some(trail) => trail.channel(channel, provider),
                None => Route::channel(channel, provider),
            };
            Route::of(channel, event_id)
        } else if self.aside(Aside::Command).is_some() && self.aside(Aside::Typist).is_some() {
            Route {
                origin: Origin::CommandHistory,
                ..Route::default()
            }
        } else {
            Route::default()
        }
    }
}

/// The text, unless it says nothing.
fn said<'a>(slots: &'a Slots, source: &'a str, text: Option<Text>) -> Option<&'a str> {
    let value = slots.value(source, text?);
    (!matches!(value.text, "" | "-")).then_some(value.text)
}
