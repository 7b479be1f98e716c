//! The modules of a crate and the names they use from one another.

use super::rust::{Located, Token, closing, is_sign, production, word};
use super::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Keywords that begin a named item.
const ITEMS: [&str; 9] = ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules"];
/// Re-exports of re-exports that are followed; a longer chain is a circle of its own.
const MAX_DEPTH: usize = 32;

/// Names that files of a crate use from other files of it: from, to, one of the names.
pub(super) type Edges = BTreeMap<(PathBuf, PathBuf), String>;

/// Returns the edges between the files of the crate with this root file.
pub(super) fn edges(tree: &Tree, root: &Path) -> Edges {
    let mut crate_ = Crate { modules: Vec::new() };
    crate_.read_file(tree, root, None);
    crate_.edges()
}

/// A module: a file, or a block within one.
struct Module {
    file: PathBuf,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths of two or more segments in code.
    paths: BTreeSet<Vec<String>>,
    /// Words in code outside imports.
    words: BTreeSet<String>,
}

/// One name of a `use` declaration.
struct Import {
    path: Vec<String>,
    /// The name it has here, `*` for all names.
    name: String,
    is_public: bool,
}

struct Crate {
    modules: Vec<Module>,
}

/// A path's end: a module, or an item that a module defines.
enum Target {
    Module(usize),
    Item(usize),
}

impl Crate {
    fn read_file(&mut self, tree: &Tree, file: &Path, parent: Option<usize>) -> usize {
        let code = production(tree.text(file));
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        let folder = if ["lib", "main", "mod"].contains(&stem) { folder } else { folder.join(stem) };
        self.read_module(tree, &code, file, &folder, parent)
    }

    /// Reads a module's code; files of its children are below `folder`.
    fn read_module(
        &mut self,
        tree: &Tree,
        code: &[Located],
        file: &Path,
        folder: &Path,
        parent: Option<usize>,
    ) -> usize {
        let index = self.modules.len();
        self.modules.push(Module {
            file: file.to_owned(),
            parent,
            children: BTreeMap::new(),
            items: BTreeSet::new(),
            imports: Vec::new(),
            paths: BTreeSet::new(),
            words: BTreeSet::new(),
        });
        let (mut at, mut depth, mut is_public) = (0, 0usize, false);
        while at < code.len() {
            let next_word = code.get(at + 1).and_then(|(token, _)| word(token));
            match &code[at].0 {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') => depth = depth.saturating_sub(1),
                Token::Word(keyword) if keyword == "pub" => {
                    is_public = true;
                    at = if is_sign(code, at + 1, '(') { closing(code, at + 1) } else { at + 1 };
                    continue;
                }
                Token::Word(keyword) if keyword == "use" => {
                    let mut imports = Vec::new();
                    at = use_tree(code, at + 1, &mut Vec::new(), &mut imports);
                    let imports = imports.into_iter().map(|(path, name)| Import { path, name, is_public });
                    self.modules[index].imports.extend(imports);
                }
                Token::Word(keyword) if keyword == "mod" && depth == 0 && next_word.is_some() => {
                    let name = next_word.unwrap_or_default().to_owned();
                    at = if is_sign(code, at + 2, '{') {
                        let end = closing(code, at + 2);
                        let inner = &code[at + 3..end.saturating_sub(1).max(at + 3)];
                        let child = self.read_module(tree, inner, file, &folder.join(&name), Some(index));
                        self.modules[index].children.insert(name, child);
                        end
                    } else {
                        let files = [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")];
                        if let Some(path) = files.iter().find(|path| tree.is_file(path)) {
                            let child = self.read_file(tree, path, Some(index));
                            self.modules[index].children.insert(name, child);
                        }
                        at + 2
                    };
                    is_public = false;
                    continue;
                }
                Token::Word(_) => {
                    at = self.read_path(index, code, at, depth);
                    is_public = false;
                    continue;
                }
                _ => {}
            }
            is_public = false;
            at += 1;
        }
        index
    }

    /// Reads an item's name or a path of one or more words, and returns the position behind it.
    fn read_path(&mut self, index: usize, code: &[Located], mut at: usize, depth: usize) -> usize {
        let module = &mut self.modules[index];
        let first = word(&code[at].0).unwrap_or_default();
        if depth == 0 && ITEMS.contains(&first) {
            let name = code[at + 1..].iter().take(2).find_map(|(token, _)| word(token)).unwrap_or_default();
            module.items.insert(name.to_owned());
            return at + 1;
        }
        // What follows a dot is a field or a method.
        let is_member = at > 0 && is_sign(code, at - 1, '.') && !(at > 1 && is_sign(code, at - 2, '.'));
        let mut path = vec![first.to_owned()];
        while is_sign(code, at + 1, ':') && is_sign(code, at + 2, ':') {
            let Some(next) = code.get(at + 3).and_then(|(token, _)| word(token)) else { break };
            path.push(next.to_owned());
            at += 3;
        }
        let is_global = at >= 2 && path.len() == 1 && is_sign(code, at - 1, ':') && is_sign(code, at - 2, ':');
        if !is_member && !is_global {
            module.words.insert(path[0].clone());
            if path.len() > 1 {
                module.paths.insert(path);
            }
        }
        at + 1
    }

    /// Follows a path from a module to the module or to the item's definition; `None` where it
    /// leaves the crate.
    fn resolve(&self, module: usize, path: &[String], depth: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.follow(self.root(module), rest, depth),
            "self" => self.follow(self.enclosing(module, 0)?, rest, depth),
            "super" => {
                let ups = path.iter().take_while(|segment| *segment == "super").count();
                self.follow(self.enclosing(module, ups)?, &path[ups..], depth)
            }
            _ => self.follow(module, path, depth),
        }
    }

    fn root(&self, mut module: usize) -> usize {
        while let Some(parent) = self.modules[module].parent {
            module = parent;
        }
        module
    }

    fn enclosing(&self, mut module: usize, ups: usize) -> Option<usize> {
        for _ in 0..ups {
            module = self.modules[module].parent?;
        }
        Some(module)
    }

    /// Follows the segments from within a module.
    fn follow(&self, module: usize, path: &[String], depth: usize) -> Option<Target> {
        let Some((name, rest)) = path.split_first() else { return Some(Target::Module(module)) };
        if depth == MAX_DEPTH {
            return None;
        }
        let here = &self.modules[module];
        let child = here.children.get(name);
        if let (Some(&child), false) = (child, rest.is_empty() && here.items.contains(name)) {
            return self.follow(child, rest, depth);
        }
        if here.items.contains(name) {
            return Some(Target::Item(module));
        }
        if let Some(import) = here.imports.iter().find(|import| import.name == *name) {
            return self.resolve(module, &[&import.path[..], rest].concat(), depth + 1);
        }
        for import in here.imports.iter().filter(|import| import.name == "*") {
            if let Some(Target::Module(other)) = self.resolve(module, &import.path, depth + 1)
                && other != module
                && let Some(target) = self.follow(other, path, depth + 1)
            {
                return Some(target);
            }
        }
        None
    }

    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (index, module) in self.modules.iter().enumerate() {
            let mut add = |target: usize, path: &[String]| {
                let file = &self.modules[target].file;
                if *file != module.file {
                    let name = path.join("::");
                    edges.entry((module.file.clone(), file.clone())).or_insert(name);
                }
            };
            for import in &module.imports {
                // A name that is only passed on is no use of it.
                if import.is_public && !module.words.contains(&import.name) {
                    continue;
                }
                match self.resolve(index, &import.path, 0) {
                    Some(Target::Item(target)) => add(target, &import.path),
                    Some(Target::Module(target)) if import.name == "*" && !import.is_public => {
                        add(target, &import.path);
                    }
                    _ => {}
                }
            }
            for path in &module.paths {
                if let Some(Target::Item(target)) = self.resolve(index, path, 0) {
                    add(target, path);
                }
            }
        }
        edges
    }
}

/// Reads a tree of `use` up to its semicolon, comma or closing brace, and returns the position
/// behind its last token.
fn use_tree(
    code: &[Located],
    mut at: usize,
    prefix: &mut Vec<String>,
    imports: &mut Vec<(Vec<String>, String)>,
) -> usize {
    let outer = prefix.len();
    loop {
        match code.get(at).map(|(token, _)| token) {
            Some(Token::Sign(':')) => at += 1,
            Some(Token::Sign('*')) => {
                imports.push((prefix.clone(), "*".into()));
                at += 1;
                break;
            }
            Some(Token::Sign('{')) => {
                at += 1;
                while at < code.len() && !is_sign(code, at, '}') {
                    at = use_tree(code, at, prefix, imports);
                    at += usize::from(is_sign(code, at, ','));
                }
                at += 1;
                break;
            }
            Some(Token::Word(name)) => {
                if name != "self" || prefix.is_empty() {
                    prefix.push(name.clone());
                }
                at += 1;
                if is_sign(code, at, ':') {
                    continue;
                }
                let alias = match (code.get(at).map(|(token, _)| token), code.get(at + 1).map(|(token, _)| token)) {
                    (Some(Token::Word(keyword)), Some(Token::Word(alias))) if keyword == "as" => {
                        at += 2;
                        alias.clone()
                    }
                    _ => prefix.last().cloned().unwrap_or_default(),
                };
                imports.push((prefix.clone(), alias));
                break;
            }
            _ => break,
        }
    }
    prefix.truncate(outer);
    at
}
