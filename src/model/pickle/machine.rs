//! Steps through a pickle: a stack, marks on it, a memo, and the objects made so far.

use super::allowed;
use super::objects::{Heap, Id, Object};
use super::opcodes::{Operation, Reader};
use super::{MAX_MARKS, MAX_PICKLE, MAX_STACK, PickleError, refuse};
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Machine<'a> {
    pub heap: Heap<'a>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Runs the pickle at the beginning of `bytes`; gives what it made, and its length.
    pub fn run(bytes: &'a [u8]) -> Result<(Machine<'a>, Id, usize), PickleError> {
        let mut machine = Machine::default();
        let mut reader = Reader::new(bytes);
        loop {
            match reader.next()? {
                Operation::Stop => break,
                operation => machine.step(operation)?,
            }
            if reader.at > MAX_PICKLE {
                return refuse(format!("its pickle is longer than the {MAX_PICKLE} bytes allowed"));
            }
        }
        let root = machine.pop()?;
        Ok((machine, root, reader.at))
    }

    fn step(&mut self, operation: Operation<'a>) -> Result<(), PickleError> {
        match operation {
            Operation::Nothing | Operation::Stop => Ok(()),
            Operation::Mark => self.mark(),
            Operation::Pop => self.discard(),
            Operation::PopMark => self.above_mark().map(drop),
            Operation::Duplicate => {
                let top = self.top()?;
                self.push(top)
            }
            Operation::None => self.make(Object::None),
            Operation::Bool(value) => self.make(Object::Bool(value)),
            Operation::Int(value) => self.make(Object::Int(value)),
            Operation::Float(value) => self.make(Object::Float(value)),
            Operation::Text(text) => self.make(Object::Text(text)),
            Operation::Bytes(bytes) => self.make(Object::Bytes(bytes)),
            Operation::Global(module, name) => self.make(Object::Class(allowed::class(module, name)?)),
            Operation::StackGlobal => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(name)) = (self.heap.text(module), self.heap.text(name)) else {
                    return refuse("a class in its pickle is named by something that is no text");
                };
                self.make(Object::Class(allowed::class(module, name)?))
            }
            Operation::PersistentId => {
                let id = self.pop()?;
                let storage = allowed::storage(&self.heap, id)?;
                self.make(Object::Storage(Box::new(storage)))
            }
            Operation::EmptyTuple => self.make(Object::Tuple(Vec::new())),
            Operation::TupleOf(count) => {
                let start = self.stack.len().checked_sub(count).filter(|start| *start >= self.floor());
                let items = self.stack.split_off(start.ok_or_else(empty)?);
                self.make(Object::Tuple(items))
            }
            Operation::Tuple => {
                let items = self.above_mark()?;
                self.make(Object::Tuple(items))
            }
            Operation::EmptyList => self.make(Object::List(Vec::new())),
            Operation::List => {
                let items = self.above_mark()?;
                self.make(Object::List(items))
            }
            Operation::Append => {
                let item = self.pop()?;
                self.extend(vec![item])
            }
            Operation::Appends => {
                let items = self.above_mark()?;
                self.extend(items)
            }
            Operation::EmptyDict => self.make(Object::Dict(Vec::new())),
            Operation::Dict => {
                let items = self.above_mark()?;
                let entries = pairs(&items)?;
                self.make(Object::Dict(entries))
            }
            Operation::SetItem => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![(key, value)])
            }
            Operation::SetItems => {
                let items = self.above_mark()?;
                self.set(pairs(&items)?)
            }
            Operation::EmptySet => self.make(Object::Set(Vec::new())),
            Operation::FrozenSet => {
                let items = self.above_mark()?;
                self.make(Object::Set(items))
            }
            Operation::AddItems => {
                let items = self.above_mark()?;
                self.extend(items)
            }
            Operation::Get(index) => {
                let id = self.memo.get(&index).copied();
                self.push(
                    id.ok_or_else(|| PickleError::new("its pickle recalls an object that it has not made"))?,
                )
            }
            Operation::Put(index) => {
                let top = self.top()?;
                self.heap.charge(1)?;
                self.memo.insert(index, top);
                Ok(())
            }
            Operation::Memoize => self.step(Operation::Put(self.memo.len() as u32)),
            Operation::Call => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let Some(arguments) = self.heap.sequence(arguments).map(<[Id]>::to_vec) else {
                    return refuse("a call in its pickle has no tuple of arguments");
                };
                self.call(callee, &arguments)
            }
            Operation::CallMarked => {
                let items = self.above_mark()?;
                let (callee, arguments) = items.split_first().ok_or_else(empty)?;
                self.call(*callee, arguments)
            }
            Operation::CallNamed(module, name) => {
                let class = allowed::class(module, name)?;
                let arguments = self.above_mark()?;
                let callee = self.heap.add(Object::Class(class))?;
                self.call(callee, &arguments)
            }
            Operation::Build => {
                let (state, target) = (self.pop()?, self.top()?);
                allowed::build(&mut self.heap, target, state)
            }
        }
    }

    fn call(&mut self, callee: Id, arguments: &[Id]) -> Result<(), PickleError> {
        // arguments are copied where a container is made of them
        self.heap.charge(arguments.len())?;
        let made = allowed::call(&mut self.heap, callee, arguments)?;
        self.push(made)
    }

    fn extend(&mut self, items: Vec<Id>) -> Result<(), PickleError> {
        self.heap.charge(items.len())?;
        let target = self.top()?;
        match self.heap.get_mut(target) {
            Object::List(list) | Object::Set(list) => {
                list.extend(items);
                Ok(())
            }
            _ => refuse("its pickle appends to something that is no list"),
        }
    }

    fn set(&mut self, entries: Vec<(Id, Id)>) -> Result<(), PickleError> {
        self.heap.charge(2 * entries.len())?;
        let target = self.top()?;
        match self.heap.get_mut(target) {
            Object::Dict(dict) => {
                dict.extend(entries);
                Ok(())
            }
            _ => refuse("its pickle sets items of something that is no dict"),
        }
    }

    fn make(&mut self, object: Object<'a>) -> Result<(), PickleError> {
        let id = self.heap.add(object)?;
        self.push(id)
    }

    fn push(&mut self, id: Id) -> Result<(), PickleError> {
        if self.stack.len() >= MAX_STACK {
            return refuse(format!("its pickle needs a stack of more than {MAX_STACK} objects"));
        }
        self.stack.push(id);
        Ok(())
    }

    fn mark(&mut self) -> Result<(), PickleError> {
        if self.marks.len() >= MAX_MARKS {
            return refuse(format!("its pickle nests more than {MAX_MARKS} containers"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Height of the stack at the last mark: what lies below is out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, PickleError> {
        self.stack.get(self.floor()..).and_then(<[Id]>::last).copied().ok_or_else(empty)
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Pops an object, or the mark if there is none above it.
    fn discard(&mut self) -> Result<(), PickleError> {
        match self.pop() {
            Err(error) if self.marks.pop().is_none() => Err(error),
            _ => Ok(()),
        }
    }

    fn above_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let start = self
            .marks
            .pop()
            .ok_or_else(|| PickleError::new("its pickle ends a container that it did not begin"))?;
        Ok(self.stack.split_off(start))
    }
}

fn empty() -> PickleError {
    PickleError::new("its pickle takes an object from an empty stack")
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, PickleError> {
    match items.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
        _ => refuse("a dict in its pickle has a key without a value"),
    }
}
