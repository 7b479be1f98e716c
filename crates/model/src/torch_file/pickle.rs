//! A machine for pickles of state dicts: the opcodes of protocol 2 that `torch.save` writes for
//! them and, in older files, around them. No function is called: an object is its description.

use super::globals::Global;
use super::messages::{CONVERT, DAMAGED};
use super::values::{Object, Value, Values};
use std::collections::HashMap;

/// Most opcodes of a pickle, and with them values, entries of the memo and memory. A tensor takes
/// about 45.
const MOST_STEPS: usize = 1 << 21;

/// Reads the pickle at the start of some bytes. Returns its values and its length.
pub(super) fn run(pickle: &[u8]) -> Result<(Values<'_>, usize), String> {
    let mut machine = Machine {
        rest: pickle,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        values: Values { result: Value::None, objects: Vec::new() },
    };
    for _ in 0..MOST_STEPS {
        let before = machine.rest;
        match machine.step() {
            Ok(true) => {}
            Ok(false) => return Ok((machine.values, pickle.len() - machine.rest.len())),
            Err(Fault::Damaged(what)) => {
                let at = pickle.len() - before.len();
                return Err(format!("{what} at byte {at}; {DAMAGED}"));
            }
            Err(Fault::Refused(reason)) => return Err(reason),
        }
    }
    Err(format!("it has more than {MOST_STEPS} opcodes, which no state dict of an encoder needs"))
}

/// The end of a pickle that is not read.
enum Fault {
    /// It is not sound.
    Damaged(&'static str),
    /// It asks for something that is not supported, with the whole message.
    Refused(String),
}

const ENDS: Fault = Fault::Damaged("it ends early");
const EMPTY: Fault = Fault::Damaged("an operand is missing");
const WRONG: Fault = Fault::Damaged("an operand is of the wrong kind");

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value<'a>>,
    /// Lengths of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    values: Values<'a>,
}

impl<'a> Machine<'a> {
    /// Runs one opcode. Returns false at the end.
    fn step(&mut self) -> Result<bool, Fault> {
        match self.take::<1>()?[0] {
            0x80 => {
                let [protocol] = self.take()?;
                if protocol > 2 {
                    let reason = format!("it is a pickle of protocol {protocol}; `torch.save` writes 2. {CONVERT}");
                    return Err(Fault::Refused(reason));
                }
            }
            b'.' => {
                self.values.result = self.pop()?;
                return Ok(false);
            }
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'J' => {
                let number = i32::from_le_bytes(self.take()?);
                self.stack.push(Value::Integer(number.into()));
            }
            b'K' => {
                let [number] = self.take()?;
                self.stack.push(Value::Integer(number.into()));
            }
            b'M' => {
                let number = u16::from_le_bytes(self.take()?);
                self.stack.push(Value::Integer(number.into()));
            }
            0x8a => self.long()?,
            b'X' => {
                let length = u32::from_le_bytes(self.take()?) as usize;
                let (text, rest) = self.rest.split_at_checked(length).ok_or(ENDS)?;
                self.rest = rest;
                let text = std::str::from_utf8(text).map_err(|_| Fault::Damaged("a text is not UTF-8"))?;
                self.stack.push(Value::Text(text));
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.stack.push(Value::Global(Global::of(module, name).map_err(Fault::Refused)?));
            }
            b'q' => {
                let [number] = self.take()?;
                self.remember(number.into())?;
            }
            b'r' => {
                let number = u32::from_le_bytes(self.take()?);
                self.remember(number)?;
            }
            b'h' => {
                let [number] = self.take()?;
                self.recall(number.into())?;
            }
            b'j' => {
                let number = u32::from_le_bytes(self.take()?);
                self.recall(number)?;
            }
            b')' => self.push(Object::Tuple(Vec::new())),
            count @ 0x85..=0x87 => self.tuple(usize::from(count - 0x84))?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Object::Tuple(items));
            }
            b']' => self.push(Object::List(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            b'}' => self.push(Object::Dict(Vec::new())),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(&items)?;
            }
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            b'Q' => {
                let id = self.pop()?;
                self.values.tuple(id).ok_or(WRONG)?;
                self.push(Object::Storage(id));
            }
            opcode => {
                let reason = format!(
                    "it has the opcode {opcode:#04x} of pickle, which no state dict needs; {DAMAGED}, or {CONVERT}"
                );
                return Err(Fault::Refused(reason));
            }
        }
        Ok(true)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(ENDS)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Reads a line, as globals have two.
    fn line(&mut self) -> Result<&'a str, Fault> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or(ENDS)?;
        let line = std::str::from_utf8(&self.rest[..end]).map_err(|_| Fault::Damaged("a name is not UTF-8"))?;
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    /// Reads an integer of up to eight bytes, whose last has the sign.
    fn long(&mut self) -> Result<(), Fault> {
        let [length] = self.take()?;
        let (bytes, rest) = self.rest.split_at_checked(length.into()).ok_or(ENDS)?;
        self.rest = rest;
        let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
        let mut number = [if negative { 0xff } else { 0 }; 8];
        number.get_mut(..bytes.len()).ok_or(Fault::Damaged("an integer is too large"))?.copy_from_slice(bytes);
        self.stack.push(Value::Integer(i64::from_le_bytes(number)));
        Ok(())
    }

    fn push(&mut self, object: Object<'a>) {
        self.stack.push(Value::Object(self.values.objects.len()));
        self.values.objects.push(object);
    }

    /// Returns the last value above the last mark.
    fn pop(&mut self) -> Result<Value<'a>, Fault> {
        let floor = self.marks.last().copied().unwrap_or_default();
        if self.stack.len() > floor { self.stack.pop().ok_or(EMPTY) } else { Err(EMPTY) }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, Fault> {
        let mark = self.marks.pop().ok_or(EMPTY)?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Result<(), Fault> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Object::Tuple(items));
        Ok(())
    }

    fn remember(&mut self, number: u32) -> Result<(), Fault> {
        let value = self.pop()?;
        self.stack.push(value);
        self.memo.insert(number, value);
        Ok(())
    }

    fn recall(&mut self, number: u32) -> Result<(), Fault> {
        let value = self.memo.get(&number).ok_or(Fault::Damaged("a value is used before it is there"))?;
        self.stack.push(*value);
        Ok(())
    }

    /// Returns the object on the stack, which stays there.
    fn top(&mut self) -> Result<&mut Object<'a>, Fault> {
        let target = self.pop()?;
        self.stack.push(target);
        let Value::Object(number) = target else { return Err(WRONG) };
        Ok(&mut self.values.objects[number])
    }

    /// Appends items to the list on the stack.
    fn append(&mut self, items: &[Value<'a>]) -> Result<(), Fault> {
        let Object::List(list) = self.top()? else { return Err(WRONG) };
        list.extend_from_slice(items);
        Ok(())
    }

    /// Puts keys and values into the dict on the stack.
    fn set(&mut self, items: &[Value<'a>]) -> Result<(), Fault> {
        let Object::Dict(entries) = self.top()? else { return Err(WRONG) };
        let (pairs, []) = items.as_chunks::<2>() else { return Err(EMPTY) };
        entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    /// Makes an object of a function and its arguments. No function is called.
    fn reduce(&mut self) -> Result<(), Fault> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let arguments = self.values.tuple(arguments).ok_or(WRONG)?;
        match function {
            Value::Global(Global::OrderedDict) if arguments.is_empty() => self.push(Object::Dict(Vec::new())),
            Value::Global(function @ (Global::OldTensor | Global::Tensor | Global::TypedTensor)) => {
                // More than a tensor has, at any length of a tuple that is used again and again.
                let arguments = arguments.get(..8).unwrap_or(arguments).to_vec();
                self.push(Object::Tensor(function, arguments));
            }
            Value::Global(Global::Parameter) => {
                let tensor = *arguments.first().ok_or(EMPTY)?;
                if !matches!(self.values.object(tensor), Some(Object::Tensor(..))) {
                    return Err(WRONG);
                }
                self.stack.push(tensor);
            }
            _ => return Err(WRONG),
        }
        Ok(())
    }

    /// Drops the attributes of a dict: those of a state dict are versions of its modules.
    fn build(&mut self) -> Result<(), Fault> {
        let (_, target) = (self.pop()?, self.pop()?);
        if !matches!(self.values.object(target), Some(Object::Dict(_))) {
            let reason = format!("it sets attributes of something other than its dict; {DAMAGED}, or {CONVERT}");
            return Err(Fault::Refused(reason));
        }
        self.stack.push(target);
        Ok(())
    }
}
