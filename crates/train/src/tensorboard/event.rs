//! Events in the encoding of protocol buffers, with the numbers of fields from
//! `tensorflow/core/util/event.proto`, `framework/summary.proto` and `framework/tensor.proto`.

/// A message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn number(mut self, field: u64, value: u64) -> Self {
        self.key(field, 0);
        self.varint(value);
        self
    }

    fn double(mut self, field: u64, value: f64) -> Self {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn message(self, field: u64, message: Self) -> Self {
        self.bytes(field, &message.0)
    }
}

fn event(time: f64, step: u64) -> Message {
    Message::default().double(1, time).number(2, step)
}

fn summary(time: f64, step: u64, value: Message) -> Vec<u8> {
    event(time, step).message(5, Message::default().message(1, value)).0
}

/// Returns the event that every file begins with.
pub(super) fn file_version(time: f64) -> Vec<u8> {
    event(time, 0).bytes(3, b"brain.Event:2").0
}

/// Returns an event without its time, which is its first field.
pub(super) fn without_time(event: &[u8]) -> &[u8] {
    const TIME: usize = 1 + size_of::<f64>();
    event.get(TIME..).unwrap_or_default()
}

/// Returns the event of a number.
pub(super) fn scalar(time: f64, step: u64, tag: &str, value: f64) -> Vec<u8> {
    summary(time, step, Message::default().bytes(1, tag.as_bytes()).float(2, value as f32))
}

/// Returns the event of a text: a tensor of strings for the plugin that shows texts.
pub(super) fn text(time: f64, step: u64, tag: &str, text: &str) -> Vec<u8> {
    const STRINGS: u64 = 7;
    let plugin = Message::default().message(1, Message::default().bytes(1, b"text"));
    let shape = Message::default().message(2, Message::default().number(1, 1));
    let tensor = Message::default().number(1, STRINGS).message(2, shape).bytes(8, text.as_bytes());
    let value = Message::default().bytes(1, tag.as_bytes()).message(8, tensor).message(9, plugin);
    summary(time, step, value)
}
