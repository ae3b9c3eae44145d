//! The tree hash (A20–A24): one hash over names, sub-folders, empty files and contents of a result.
//! Not iExec's result digest, which covers the file that `computed.json` names and nothing else.

use crate::FileDigest;
use crate::name::{self, NameError};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// First line of the hashed text, so that no other text of ours has this hash (A20).
const HEADING: &str = "iexec-tree-v1\n";

/// SHA-256 of a result's listing (A20).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeHash(pub [u8; 32]);

impl fmt::Display for TreeHash {
    /// `0x` and 64 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHash({self})")
    }
}

/// Why a file or folder cannot be part of a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The path is malformed (A12).
    #[error(transparent)]
    Name(#[from] NameError),
    /// The path is there already, or one of its parents is a file (A23).
    #[error("entry {0:?} is there twice, or is both a file and a folder")]
    Duplicate(String),
    /// More than [`MAX_FILES`](crate::MAX_FILES) files and folders, or names that fill a zip's directory (A11).
    #[error("more than {} files and folders, or more than 16 MiB of names", crate::MAX_FILES)]
    TooMany,
}

/// The listing of a result, in order of path bytes.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
    /// Bytes of all paths: those of implied folders are not bounded by what the zip holds.
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    /// A folder that so far is known only as the parent of something.
    Implied,
    Folder,
    File {
        size: u64,
        blake3: [u8; 32],
    },
}

impl Tree {
    /// Adds a file by its digest; its parents are added with it (A22).
    pub fn add_file(&mut self, file: &FileDigest) -> Result<(), TreeError> {
        self.check_new(&file.name)?;
        self.insert(&file.name, Node::File { size: file.size, blake3: file.blake3 });
        Ok(())
    }

    /// Adds a folder, empty or not, by its path without a final `/`.
    pub fn add_directory(&mut self, path: &str) -> Result<(), TreeError> {
        if self.nodes.get(path) != Some(&Node::Implied) {
            self.check_new(path)?;
        }
        self.insert(path, Node::Folder);
        Ok(())
    }

    /// SHA-256 over the heading and one line per file and folder (A20, A21).
    pub fn hash(&self) -> TreeHash {
        let mut sha256 = Sha256::new_with_prefix(HEADING);
        for (path, node) in &self.nodes {
            let line = match node {
                Node::Implied | Node::Folder => format!("d {path}\n"),
                Node::File { size, blake3 } => format!("f {} {size} {path}\n", hex(blake3)),
            };
            sha256.update(line);
        }
        TreeHash(sha256.finalize().into())
    }

    /// Refuses a malformed path, one that is taken, one below a file, and one too many.
    pub(crate) fn check_new(&self, path: &str) -> Result<(), TreeError> {
        name::check(path)?;
        let below_file = parents(path).any(|parent| matches!(self.nodes.get(parent), Some(Node::File { .. })));
        if below_file || self.nodes.contains_key(path) {
            return Err(TreeError::Duplicate(name::shorten(path)));
        }
        let new = parents(path).filter(|parent| !self.nodes.contains_key(*parent));
        let (count, bytes) = new.fold((1, path.len()), |(count, bytes), parent| (count + 1, bytes + parent.len()));
        let full = self.nodes.len() + count > crate::MAX_FILES || self.bytes + bytes > crate::MAX_DIRECTORY;
        if full { Err(TreeError::TooMany) } else { Ok(()) }
    }

    fn insert(&mut self, path: &str, node: Node) {
        for parent in parents(path) {
            if !self.nodes.contains_key(parent) {
                self.bytes += parent.len();
                self.nodes.insert(parent.to_owned(), Node::Implied);
            }
        }
        if self.nodes.insert(path.to_owned(), node).is_none() {
            self.bytes += path.len();
        }
    }
}

/// `a/b/c` → `a`, `a/b`.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{Tree, TreeError};
    use crate::FileDigest;
    use proptest::prelude::*;

    fn tree(nodes: &[(&str, Option<&str>)]) -> Result<Tree, TreeError> {
        let mut tree = Tree::default();
        for (path, content) in nodes {
            match content {
                Some(text) => tree.add_file(&FileDigest::of(path, text.as_bytes()))?,
                None => tree.add_directory(path)?,
            }
        }
        Ok(tree)
    }

    /// Known answers made with b3sum and coreutils: `docs/spec/archive.md`, "the same hash by hand".
    #[test]
    fn a20_the_hash_is_what_b3sum_and_sha256sum_say() {
        assert_eq!(
            tree(&[]).unwrap().hash().to_string(),
            "0x56a4bd410679e35c27be23bb37bf458796ee30476870177b7cdec7c8a173e036"
        );
        let hello = tree(&[("my-result.txt", Some("Hello, world!")), ("sub/empty", Some("")), ("void", None)]).unwrap();
        assert_eq!(hello.hash().to_string(), "0x99552f9c529e4a4c85df1b9abbf89f69d206993369393a18e6a38b583b14e31a");
    }

    #[test]
    fn a22_parents_are_part_of_the_tree_whether_listed_or_not() {
        let implied = tree(&[("a/b/c", Some("x"))]).unwrap();
        let listed = tree(&[("a", None), ("a/b", None), ("a/b/c", Some("x"))]).unwrap();
        let listed_late = tree(&[("a/b/c", Some("x")), ("a/b", None)]).unwrap();
        assert_eq!(implied.hash(), listed.hash());
        assert_eq!(implied.hash(), listed_late.hash());
    }

    #[test]
    fn names_folders_and_empty_files_all_count() {
        let hash = |nodes| tree(nodes).unwrap().hash();
        let base = hash(&[("a", Some("x")), ("b", Some(""))]);
        for other in [
            hash(&[("a", Some("x"))]),
            hash(&[("a", Some("x")), ("b", None)]),
            hash(&[("a", Some("x")), ("c", Some(""))]),
            hash(&[("a", Some("")), ("b", Some("x"))]),
            hash(&[("a", Some("x")), ("b", Some("")), ("c", None)]),
            hash(&[("a", Some("x")), ("d/b", Some(""))]),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a23_a_path_is_one_thing_once() {
        for nodes in [
            &[("a", Some("")), ("a", Some(""))][..],
            &[("a", None), ("a", None)],
            &[("a", Some("")), ("a", None)],
            &[("a", Some("")), ("a/b", Some(""))],
            &[("a/b", Some("")), ("a", Some(""))],
        ] {
            assert!(matches!(tree(nodes), Err(TreeError::Duplicate(_))), "{nodes:?}");
        }
    }

    #[test]
    fn a11_a_tree_is_bounded() {
        let mut tree = Tree::default();
        for i in 0..crate::MAX_FILES {
            tree.add_directory(&format!("{i}")).unwrap();
        }
        assert_eq!(tree.add_directory("more"), Err(TreeError::TooMany));
    }

    proptest! {
        #[test]
        fn a21_the_order_of_adding_is_nothing(names in proptest::collection::btree_set("[a-c]{1,3}(-[a-c/]x)?", 0..8)) {
            let nodes: Vec<_> = names.iter().map(|n| (n.as_str(), Some(n.as_str()))).collect();
            let reversed: Vec<_> = nodes.iter().rev().copied().collect();
            if let (Ok(one), Ok(two)) = (tree(&nodes), tree(&reversed)) {
                prop_assert_eq!(one.hash(), two.hash());
            }
        }
    }
}
