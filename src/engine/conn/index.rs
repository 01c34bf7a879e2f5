//! The one index of a shard: from the tuple of a packet, whichever its direction, to a connection and a direction.
//!
//! Cuckoo hashing with buckets of one cache line, eight entries each, and a 16-bit tag an entry (Fan et al.: MemC3,
//! NSDI 2013). The second bucket follows from the first and the tag alone, so that an entry is moved without a look at
//! its connection. A bucket knows by a filter which tags left it for their second one (Le Scouarnec: Cuckoo++, ANCS 2018): a
//! packet of no connection, an insert and a removal mostly look at one bucket. It knows neither keys nor families: the
//! caller says whether a candidate is the one.

use crate::mem::{Memory, OutOfMemory, prefetch};
use wide::{u8x16, u16x8};

const WAYS: usize = 8;
/// Buckets that one insert looks at, at most, to make room.
const SEARCH: usize = 256;

#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C, align(64))]
struct Bucket {
    /// 0: the place is free. See [`tag`].
    tags: [u16; WAYS],
    entries: [u32; WAYS],
    /// The entries that would be here if there had been room, and stand in their second bucket: bits by tag, of these and
    /// perhaps of others since there was last none.
    away: u64,
    /// How many they are.
    missing: u32,
}

impl Bucket {
    /// True when an entry with this tag, whose first bucket this is, may stand in its second.
    #[inline(always)]
    fn may_be_away(&self, tag: u16) -> bool {
        self.away & away_bit(tag) != 0
    }

    #[inline(always)]
    fn leaves(&mut self, tag: u16) {
        self.away |= away_bit(tag);
        self.missing += 1;
    }

    /// One that was away comes back, or is no more.
    #[inline(always)]
    fn is_accounted_for(&mut self) {
        self.missing -= 1;
        if self.missing == 0 {
            self.away = 0;
        }
    }

    /// The first entry with this tag.
    #[inline(always)]
    fn first(&self, tag: u16) -> Option<u32> {
        let marks = self.marks(tag);
        (marks != 0).then(|| self.entry(marks))
    }

    /// The entry of the lowest mark.
    #[inline(always)]
    fn entry(&self, marks: u32) -> u32 {
        self.entries[way(marks)]
    }

    /// Two bits for each entry with this tag.
    #[inline(always)]
    fn marks(&self, tag: u16) -> u32 {
        let same = u16x8::new(self.tags).simd_eq(u16x8::splat(tag)).to_array();
        u8x16::new(zerocopy::transmute!(same)).to_bitmask()
    }
}

/// See the module.
pub struct Index<M: Memory> {
    buckets: M::Slice<Bucket>,
    len: usize,
}

/// Where an entry of a hash may stand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spot {
    /// Its buckets.
    first: u32,
    second: u32,
    /// In the first.
    tag: u16,
}

/// A free place for an entry.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    bucket: u32,
    way: u8,
    tag: u16,
}

impl Place {
    /// True for places that two entries can not both have.
    #[inline(always)]
    pub fn is_also(&self, other: &Place) -> bool {
        (self.bucket, self.way) == (other.bucket, other.way)
    }
}

/// No room for another entry near its two buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The place of the lowest of [`Bucket::marks`].
#[inline(always)]
fn way(marks: u32) -> usize {
    marks.trailing_zeros() as usize / 2 % WAYS
}

/// The marks without the lowest.
#[inline(always)]
fn rest(marks: u32) -> u32 {
    let once = marks & (marks - 1);
    once & once.wrapping_sub(1)
}

/// The tag of an entry in its first bucket.
#[inline(always)]
fn tag(hash: u64) -> u16 {
    (hash >> 48) as u16 | NOT_FREE | HOME
}

/// Of a tag: the entry stands in its first bucket.
const HOME: u16 = 1;
/// Of a tag: it is one, whether at home or not.
const NOT_FREE: u16 = 2;

/// The tag of the same entry in its other bucket.
#[inline(always)]
fn moved(tag: u16) -> u16 {
    tag ^ HOME
}

#[inline(always)]
fn away_bit(tag: u16) -> u64 {
    // The two lowest bits say nothing of the hash.
    1 << ((tag >> 2) % 64)
}

#[inline(always)]
fn scale(x: u32, n: usize) -> usize {
    ((u64::from(x) * n as u64) >> 32) as usize
}

impl<M: Memory> Index<M> {
    /// Room for `entries` at a load of 75 %: so an insert seldom moves another entry, and few are in their second bucket.
    pub fn new(memory: &M, entries: usize) -> Result<Self, OutOfMemory> {
        let buckets = (entries * 100 / 75).div_ceil(WAYS).max(2);
        Ok(Index { buckets: memory.zeroed(buckets)?, len: 0 })
    }

    /// Entries in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Entries that it has places for.
    pub fn places(&self) -> usize {
        self.buckets.len() * WAYS
    }

    /// True when it has no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    fn first(&self, hash: u64) -> usize {
        scale(hash as u32, self.buckets.len())
    }

    /// The other bucket of an entry: its own inverse.
    #[inline(always)]
    fn other(&self, bucket: usize, tag: u16) -> usize {
        let n = self.buckets.len();
        let at = scale(u32::from(tag | HOME).wrapping_mul(0x9E37_79B1), n);
        if at >= bucket { at - bucket } else { at + n - bucket }
    }

    /// Where an entry of this hash may stand.
    #[inline(always)]
    pub fn spot(&self, hash: u64) -> Spot {
        let (first, tag) = (self.first(hash), tag(hash));
        Spot { first: first as u32, second: self.other(first, tag) as u32, tag }
    }

    #[inline(always)]
    fn bucket(&self, at: u32) -> &Bucket {
        &self.buckets[at as usize]
    }

    /// Loads the first bucket of a spot.
    #[inline(always)]
    pub fn prefetch_spot(&self, spot: &Spot) {
        prefetch(&self.buckets, spot.first as usize);
    }

    /// Loads the second bucket of a spot where a removal needs it. The first should be in the cache, as below.
    #[inline(always)]
    pub fn prefetch_rest(&self, spot: &Spot) {
        if self.bucket(spot.first).marks(spot.tag) == 0 {
            prefetch(&self.buckets, spot.second as usize);
        }
    }

    /// Loads the second bucket of a spot where an insert needs it.
    #[inline(always)]
    pub fn prefetch_room(&self, spot: &Spot) {
        let first = self.bucket(spot.first);
        if first.marks(0) == 0 || first.may_be_away(spot.tag) {
            prefetch(&self.buckets, spot.second as usize);
        }
    }

    /// The same for a hash that has no entry.
    #[inline(always)]
    pub fn prefetch_room_of(&self, hash: u64) {
        if self.buckets[self.first(hash)].marks(0) == 0 {
            self.prefetch_other(hash);
        }
    }

    /// False when there is no entry of this spot's hash. True seldom without one.
    #[inline(always)]
    pub fn may_have(&self, spot: &Spot) -> bool {
        let first = self.bucket(spot.first);
        first.marks(spot.tag) != 0
            || first.may_be_away(spot.tag) && self.bucket(spot.second).marks(moved(spot.tag)) != 0
    }

    /// A free place for an entry of this spot, if it has one: that which [`Index::insert`] would give it.
    #[inline(always)]
    pub fn free(&self, spot: &Spot) -> Option<Place> {
        let (mut bucket, mut free, mut tag) = (spot.first, self.bucket(spot.first).marks(0), spot.tag);
        if free == 0 {
            (bucket, free, tag) = (spot.second, self.bucket(spot.second).marks(0), moved(spot.tag));
        }
        (free != 0).then(|| Place { bucket, way: way(free) as u8, tag })
    }

    /// Moves other entries so that there is a free place for one of this spot. False when that can not be.
    #[inline(always)]
    pub fn make_free(&mut self, spot: &Spot) -> bool {
        self.free(spot).is_some() || self.make_room(spot.first as usize, spot.second as usize).is_some()
    }

    /// Puts an entry in a free place.
    #[inline(always)]
    pub fn fill(&mut self, Place { bucket, way, tag }: Place, entry: u32) {
        let b = &mut self.buckets[bucket as usize];
        let way = usize::from(way) % WAYS;
        (b.tags[way], b.entries[way]) = (tag, entry);
        if tag & HOME == 0 {
            let first = self.other(bucket as usize, tag);
            self.buckets[first].leaves(tag);
        }
        self.len += 1;
    }

    /// Loads the first bucket of a hash.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        prefetch(&self.buckets, self.first(hash));
    }

    /// Loads the second bucket of a hash.
    #[inline(always)]
    pub fn prefetch_other(&self, hash: u64) {
        prefetch(&self.buckets, self.other(self.first(hash), tag(hash)));
    }

    /// False when no entry of this hash is in its second bucket. The first should be in the cache.
    #[inline(always)]
    pub fn may_be_away(&self, hash: u64) -> bool {
        self.buckets[self.first(hash)].may_be_away(tag(hash))
    }

    /// The first entry with this tag in the first bucket: most likely the one.
    #[inline(always)]
    pub fn likely(&self, hash: u64) -> Option<u32> {
        self.likely_in(self.first(hash), tag(hash))
    }

    /// The first entry with this tag in the second bucket.
    #[inline(always)]
    pub fn likely_other(&self, hash: u64) -> Option<u32> {
        self.likely_in(self.other(self.first(hash), tag(hash)), moved(tag(hash)))
    }

    #[inline(always)]
    fn likely_in(&self, bucket: usize, tag: u16) -> Option<u32> {
        self.buckets[bucket].first(tag)
    }

    /// The entry of this hash that `is` accepts.
    #[inline(always)]
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag(hash);
        let first = self.first(hash);
        self.find_in(first, tag, &is).or_else(|| {
            let away = self.buckets[first].may_be_away(tag);
            if away { self.find_in(self.other(first, tag), moved(tag), &is) } else { None }
        })
    }

    #[inline(always)]
    fn find_in(&self, bucket: usize, tag: u16, is: &impl Fn(u32) -> bool) -> Option<u32> {
        let b = &self.buckets[bucket];
        let mut marks = b.marks(tag);
        while marks != 0 {
            let e = b.entry(marks);
            if is(e) {
                return Some(e);
            }
            marks = rest(marks);
        }
        None
    }

    /// Adds an entry. The caller has looked that there is none of the same key.
    pub fn insert(&mut self, hash: u64, entry: u32) -> Result<(), Full> {
        let spot = self.spot(hash);
        if !self.make_free(&spot) {
            return Err(Full);
        }
        let place = self.free(&spot).ok_or(Full)?;
        self.fill(place, entry);
        Ok(())
    }

    /// Moves an entry to its other bucket, if that has room.
    #[inline(always)]
    fn shift(&mut self, bucket: usize, at: usize, target: usize) -> bool {
        let free = self.buckets[target].marks(0);
        if free == 0 {
            return false;
        }
        let from = &mut self.buckets[bucket];
        let (tag, entry) = (from.tags[at], from.entries[at]);
        from.tags[at] = 0;
        if tag & HOME != 0 {
            from.leaves(tag);
        }
        let to = &mut self.buckets[target];
        (to.tags[way(free)], to.entries[way(free)]) = (moved(tag), entry);
        if tag & HOME == 0 {
            to.is_accounted_for();
        }
        true
    }

    /// Moves one entry of the two buckets to its other bucket, if one of these has room; or else entries along the shortest way
    /// to a free seat. Gives the bucket that has room now.
    #[cold]
    fn make_room(&mut self, first: usize, second: usize) -> Option<usize> {
        for bucket in [first, second] {
            let targets = self.buckets[bucket].tags.map(|tag| self.other(bucket, tag));
            targets.iter().for_each(|target| prefetch(&self.buckets, *target));
            for (way, target) in targets.into_iter().enumerate() {
                if self.shift(bucket, way, target) {
                    return Some(bucket);
                }
            }
        }
        self.make_room_farther(first, second)
    }

    /// The shortest way, found breadth first.
    #[cold]
    fn make_room_farther(&mut self, first: usize, second: usize) -> Option<usize> {
        // (bucket, node it was reached from, way in that node's bucket)
        let mut nodes = [(0usize, 0u16, 0u8); SEARCH];
        nodes[0] = (first, u16::MAX, 0);
        nodes[1] = (second, u16::MAX, 0);
        let mut found = 2;
        let mut next = 0;
        while next < found {
            let (bucket, ..) = nodes[next];
            for way in 0..WAYS {
                let target = self.other(bucket, self.buckets[bucket].tags[way]);
                if found == SEARCH {
                    continue;
                }
                nodes[found] = (target, next as u16, way as u8);
                if self.buckets[target].marks(0) != 0 {
                    return self.shift_all(&nodes, found);
                }
                if nodes[..found].iter().all(|n| n.0 != target) {
                    found += 1;
                }
            }
            next += 1;
        }
        None
    }

    /// Moves each entry on the way one bucket on, last first; gives the bucket at the start of the way.
    fn shift_all(&mut self, nodes: &[(usize, u16, u8); SEARCH], last: usize) -> Option<usize> {
        let mut at = last;
        loop {
            let (target, from, way) = nodes[at];
            if from == u16::MAX {
                return Some(target);
            }
            let source = nodes[usize::from(from)].0;
            if !self.shift(source, usize::from(way), target) {
                return None;
            }
            at = usize::from(from);
        }
    }

    /// Takes an entry out. False when it is not there.
    pub fn remove(&mut self, hash: u64, entry: u32) -> bool {
        self.remove_at(&self.spot(hash), entry)
    }

    /// The same for a caller who knows where it may stand.
    #[inline(always)]
    pub fn remove_at(&mut self, spot: &Spot, entry: u32) -> bool {
        let mut removed = self.remove_from(spot.first, spot.tag, entry);
        if !removed {
            removed = self.remove_from(spot.second, moved(spot.tag), entry);
            if removed {
                self.buckets[spot.first as usize].is_accounted_for();
            }
        }
        self.len -= usize::from(removed);
        removed
    }

    #[inline(always)]
    fn remove_from(&mut self, bucket: u32, tag: u16, entry: u32) -> bool {
        let bucket = &mut self.buckets[bucket as usize];
        let mut marks = bucket.marks(tag);
        while marks != 0 {
            let i = way(marks);
            if bucket.entries[i] == entry {
                bucket.tags[i] = 0;
                return true;
            }
            marks = rest(marks);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::key::SplitMix;
    use crate::mem::Heap;

    #[test]
    fn no_insert_fails_up_to_the_load_it_was_made_for_and_all_are_found() {
        for entries in [10, 1_000, 100_000] {
            let mut index = Index::<Heap>::new(&Heap, entries).unwrap();
            let hash = |i: u32| SplitMix(u64::from(i) ^ 77).next();
            for i in 0..entries as u32 {
                assert_eq!(index.insert(hash(i), i), Ok(()), "{i} of {entries}");
            }
            assert_eq!(index.len(), entries);
            for i in 0..entries as u32 {
                assert_eq!(index.find(hash(i), |e| e == i), Some(i));
            }
            for i in (0..entries as u32).step_by(2) {
                assert!(index.remove(hash(i), i) && !index.remove(hash(i), i));
            }
            for i in 0..entries as u32 {
                assert_eq!(index.find(hash(i), |e| e == i).is_some(), i % 2 == 1);
            }
        }
    }

    #[test]
    fn a_bucket_is_one_cache_line_and_the_other_bucket_of_the_other_is_the_first() {
        assert_eq!(size_of::<Bucket>(), 64);
        let index = Index::<Heap>::new(&Heap, 12_345).unwrap();
        for i in 0..10_000u64 {
            let h = SplitMix(i).next();
            let first = index.first(h);
            let second = index.other(first, tag(h));
            assert!(second < index.buckets.len());
            assert_eq!(index.other(second, tag(h)), first);
        }
    }

    /// Buckets whose entries in other buckets are not the ones that they know of.
    fn mistaken(index: &Index<Heap>) -> usize {
        let mut guests = alloc::vec![(0u32, 0u64); index.buckets.len()];
        for (at, bucket) in index.buckets.iter().enumerate() {
            for tag in bucket.tags.into_iter().filter(|tag| *tag != 0 && tag & HOME == 0) {
                let (missing, away) = &mut guests[index.other(at, tag)];
                *missing += 1;
                *away |= away_bit(tag);
            }
        }
        let right = |(b, (missing, away)): (&Bucket, (u32, u64))| {
            b.missing == missing && b.away & away == away && (missing > 0 || b.away == 0)
        };
        index.buckets.iter().zip(guests).filter(|both| !right((both.0, both.1))).count()
    }

    #[test]
    fn a_bucket_knows_of_its_entries_that_are_away_however_they_are_moved_about() {
        let hash = |i: u32| SplitMix(u64::from(i) ^ 99).next();
        let mut index = Index::<Heap>::new(&Heap, 10_000).unwrap();
        let most = index.places() as u32 * 92 / 100;
        let mut held: alloc::collections::VecDeque<u32> =
            (0..most).filter(|i| index.insert(hash(*i), *i).is_ok()).collect();
        for i in most..3 * most {
            if i % 1_000 == 0 {
                assert_eq!(mistaken(&index), 0, "after {i}");
            }
            let old = held.pop_front().unwrap();
            assert!(index.remove(hash(old), old));
            if index.insert(hash(i), i).is_ok() {
                held.push_back(i);
            }
        }
        assert!(held.iter().all(|i| index.find(hash(*i), |e| e == *i).is_some()));
        held.iter().for_each(|i| assert!(index.remove(hash(*i), *i)));
        assert_eq!((mistaken(&index), index.len()), (0, 0));
    }

    #[test]
    fn at_the_load_it_is_made_for_few_strangers_are_looked_for_in_a_second_bucket() {
        let mut index = Index::<Heap>::new(&Heap, 100_000).unwrap();
        let hash = |i: u32| SplitMix(u64::from(i) ^ 7).next();
        (0..100_000).for_each(|i| index.insert(hash(i), i).unwrap());
        let away = (100_000..200_000).filter(|i| index.may_be_away(hash(*i))).count();
        assert!(away < 2_000, "{away} of 100,000");
    }

    #[test]
    fn an_overfull_index_refuses_and_keeps_what_it_has() {
        let mut index = Index::<Heap>::new(&Heap, 64).unwrap();
        let hash = |i: u32| SplitMix(u64::from(i)).next();
        let mut held = alloc::vec::Vec::new();
        for i in 0..200 {
            if index.insert(hash(i), i).is_ok() {
                held.push(i);
            }
        }
        assert!(held.len() < 200 && held.len() >= 64);
        assert!(held.iter().all(|i| index.find(hash(*i), |e| e == *i).is_some()));
    }
}
