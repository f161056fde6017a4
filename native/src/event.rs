//! One record to one event: the types of `stream_app/events/types.py`, read strictly.
//!
//! `None` means no more than "not ordinary": the Python path reads that record again, and says
//! whether it is an event after all. So nothing here may accept what msgspec refuses, or take it for
//! another value; what msgspec accepts may be left to it.

use crate::instants;
use crate::json::{Reader, Room, Text, Value};

/// Topics of one event that count as interest.
pub const TOPICS: usize = 4;
const MOST_TOPICS: usize = 32;
const MOST_OF_TOPIC: usize = 128;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Visit,
    Download,
    Email,
}

#[derive(Clone, Copy, Default)]
pub enum Page {
    #[default]
    Other,
    Product,
    Pricing,
}

#[derive(Clone, Copy)]
pub enum Stage {
    Awareness,
    Consideration,
    Decision,
}

#[derive(Clone, Copy)]
pub enum EmailKind {
    Opened,
    Clicked,
    Replied,
    /// Unsubscribed or complained.
    Unsubscribed,
    /// Sent, delivered or bounced.
    Passive,
}

/// Fields of all types, as far as somebody reads them.
#[derive(Default)]
pub struct Event<'a> {
    pub type_: Option<Type>,
    pub id: Text<'a>,
    pub occurred_us: i64,
    pub account: Text<'a>,
    /// Empty: none.
    pub contact: Text<'a>,
    /// The first ones; empty: none, since a topic is never empty.
    pub topics: [Text<'a>; TOPICS],
    pub page: Page,
    pub dwell_seconds: f64,
    /// Empty: none.
    pub session: Text<'a>,
    pub has_campaign: bool,
    pub stage: Option<Stage>,
    pub kind: Option<EmailKind>,
    pub machine_open: bool,
}

/// The event that a record holds; None: not an ordinary one. `room` is as long as it, at least.
pub fn read<'a>(record: &'a [u8], room: &'a mut [u8]) -> Option<Event<'a>> {
    let (mut json, mut room) = (Reader::new(record), Room(room));
    let mut event = Event::default();
    let (mut has_instant, mut has_type) = (false, false);
    json.take(b'{')?;
    // A name must follow: an object without fields is no event.
    loop {
        let field = Field::named(json.name()?);
        match (field, json.peek()?) {
            (Field::Topics, b'[') => event.topics = topics(&mut json, &mut room)?,
            (Field::DwellSeconds, b'0'..=b'9') => event.dwell_seconds = json.amount()?,
            // A field that comes twice counts as it came last, as in msgspec.
            _ => match (field, json.value(&mut room)?) {
                (_, Value::Text(text)) if !fits(text, field.most()) => return None,
                (Field::Id, Value::Text(text)) => event.id = filled(text)?,
                (Field::OccurredAt, Value::Text(text)) => {
                    event.occurred_us = instants::parse(text)?;
                    has_instant = true;
                }
                (Field::AccountId, Value::Text(text)) => event.account = filled(text)?,
                (Field::ContactId, Value::Text(text)) => event.contact = text,
                (Field::ContactId, Value::Null) => event.contact = b"",
                (Field::PageCategory, Value::Text(text)) => event.page = page_of(text),
                (Field::SessionId, Value::Text(text)) => event.session = text,
                (Field::CampaignId, Value::Text(text)) => event.has_campaign = !text.is_empty(),
                (Field::CampaignId, Value::Null) => event.has_campaign = false,
                (Field::Stage, Value::Text(text)) => event.stage = Some(stage_of(text)?),
                (Field::Kind, Value::Text(text)) => event.kind = Some(kind_of(text)?),
                (Field::MachineOpen, Value::True) => event.machine_open = true,
                (Field::MachineOpen, Value::False) => event.machine_open = false,
                (Field::Type, Value::Text(text)) if !has_type => {
                    event.type_ = Some(type_of(text)?);
                    has_type = true;
                }
                (Field::Text(_), Value::Text(_))
                | (Field::TextOrNull(_), Value::Text(_) | Value::Null)
                | (Field::Unknown, _) => {}
                _ => return None,
            },
        }
        if json.ends(b'}')? {
            break;
        }
    }
    json.end()?;
    (has_instant && !event.id.is_empty() && !event.account.is_empty()).then_some(event)
}

#[derive(Clone, Copy)]
enum Field {
    Type,
    Id,
    OccurredAt,
    AccountId,
    ContactId,
    Topics,
    PageCategory,
    DwellSeconds,
    SessionId,
    CampaignId,
    Stage,
    Kind,
    MachineOpen,
    /// One that nobody reads, of so many characters at most.
    Text(u16),
    TextOrNull(u16),
    Unknown,
}

impl Field {
    #[inline(always)]
    fn named(name: &[u8]) -> Self {
        match name {
            b"type" => Self::Type,
            b"id" => Self::Id,
            b"occurred_at" => Self::OccurredAt,
            b"account_id" => Self::AccountId,
            b"contact_id" => Self::ContactId,
            b"topics" => Self::Topics,
            b"page_category" => Self::PageCategory,
            b"dwell_seconds" => Self::DwellSeconds,
            b"session_id" => Self::SessionId,
            b"campaign_id" => Self::CampaignId,
            b"stage" => Self::Stage,
            b"kind" => Self::Kind,
            b"machine_open" => Self::MachineOpen,
            b"url" => Self::Text(4_096),
            b"referrer" | b"link_url" => Self::TextOrNull(4_096),
            b"asset_id" | b"asset_type" => Self::Text(256),
            b"title" => Self::TextOrNull(1_024),
            _ => Self::Unknown,
        }
    }

    /// Characters that a text may have.
    #[inline(always)]
    fn most(self) -> usize {
        match self {
            Self::Text(most) | Self::TextOrNull(most) => most.into(),
            Self::Unknown => usize::MAX,
            _ => 256,
        }
    }
}

#[inline(always)]
fn fits(text: Text, most: usize) -> bool {
    // There are never more characters than bytes.
    text.len() <= most || characters(text) <= most
}

#[cold]
fn characters(text: Text) -> usize {
    // All bytes of a character but its first begin with the bits 10.
    text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}

#[inline(always)]
fn filled(text: Text) -> Option<Text> {
    (!text.is_empty()).then_some(text)
}

/// The first few of a list of topics.
#[inline(always)]
fn topics<'a>(json: &mut Reader<'a>, room: &mut Room<'a>) -> Option<[Text<'a>; TOPICS]> {
    let mut topics = <[Text<'a>; TOPICS]>::default();
    json.take(b'[')?;
    if json.took(b']')? {
        return Some(topics);
    }
    for count in 0..MOST_TOPICS {
        let topic = filled(json.text(room)?)?;
        if !fits(topic, MOST_OF_TOPIC) {
            return None;
        }
        if let Some(place) = topics.get_mut(count) {
            *place = topic;
        }
        if json.ends(b']')? {
            return Some(topics);
        }
    }
    None
}

/// The type that stands in an event's `type`.
pub fn type_of(name: Text) -> Option<Type> {
    match name {
        b"website.visit" => Some(Type::Visit),
        b"content.download" => Some(Type::Download),
        b"email.engagement" => Some(Type::Email),
        _ => None,
    }
}

fn page_of(category: Text) -> Page {
    match category {
        b"product" => Page::Product,
        b"pricing" => Page::Pricing,
        _ => Page::Other,
    }
}

fn stage_of(name: Text) -> Option<Stage> {
    match name {
        b"awareness" => Some(Stage::Awareness),
        b"consideration" => Some(Stage::Consideration),
        b"decision" => Some(Stage::Decision),
        _ => None,
    }
}

fn kind_of(name: Text) -> Option<EmailKind> {
    match name {
        b"opened" => Some(EmailKind::Opened),
        b"clicked" => Some(EmailKind::Clicked),
        b"replied" => Some(EmailKind::Replied),
        b"unsubscribed" | b"complained" => Some(EmailKind::Unsubscribed),
        b"sent" | b"delivered" | b"bounced" => Some(EmailKind::Passive),
        _ => None,
    }
}
