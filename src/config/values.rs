//! Small typed values of the configuration: seconds, MAC addresses, the hash key, and the words a field may take.
//!
//! Used by [`Model`](super::Model) and by the reader that makes it. Nothing here knows where in the file a value stood.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A time in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Secs(pub u32);

impl fmt::Display for Secs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

/// A unicast Ethernet address, in the order of the wire. Reads and shows as `02:00:00:00:02:21`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// Why a text is no usable MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// Not six pairs of hexadecimal digits with colons between them.
    #[error("is not a MAC address")]
    Malformed,
    /// The group bit is set: multicast or broadcast.
    #[error("is a multicast or broadcast MAC address")]
    Group,
    /// 00:00:00:00:00:00.
    #[error("is the all-zero MAC address")]
    Zero,
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut bytes = [0u8; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().ok_or(MacError::Malformed)?;
            if pair.len() != 2 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(MacError::Malformed);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| MacError::Malformed)?;
        }
        if pairs.next().is_some() {
            return Err(MacError::Malformed);
        }
        if bytes == [0; 6] {
            return Err(MacError::Zero);
        }
        if bytes[0] & 1 == 1 {
            return Err(MacError::Group);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The Toeplitz key, 40 bytes. Reads and shows as 80 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKey(pub [u8; 40]);

/// A text that is not exactly 80 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not 40 bytes in hexadecimal")]
pub struct HashKeyError;

impl FromStr for HashKey {
    type Err = HashKeyError;

    fn from_str(text: &str) -> Result<Self, HashKeyError> {
        let digits = text.as_bytes();
        let mut key = [0u8; 40];
        if digits.len() != 2 * key.len() {
            return Err(HashKeyError);
        }
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let (Some(high), Some(low)) = (nibble(pair[0]), nibble(pair[1])) else {
                return Err(HashKeyError);
            };
            *byte = high << 4 | low;
        }
        Ok(Self(key))
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for HashKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A field that takes one of a few words.
pub(super) trait Choice: Copy + 'static {
    /// Every word with its meaning, in the order in which a person is told of them.
    const WORDS: &'static [(&'static str, Self)];
}

/// Ties an enum to the words of the file: its `Choice`, and the same word when shown.
macro_rules! words {
    ($choice:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl Choice for $choice {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];
        }
        impl fmt::Display for $choice {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
        impl Serialize for $choice {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

/// What a worker does when a turn of its loop found nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Idle {
    /// Decide at start: spin when every polling lcore has a CPU of its own, else yield.
    #[default]
    Auto,
    /// Poll again at once.
    Spin,
    /// Give the CPU to others for one scheduling turn.
    Yield,
    /// Sleep for some microseconds, longer the longer nothing happens.
    Sleep,
}
words!(Idle { Auto = "auto", Spin = "spin", Yield = "yield", Sleep = "sleep" });

/// How the packets of a port come to the worker that owns their connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum SteeringPolicy {
    /// `rss` where the device offers it and there is more than one worker, else `software`.
    #[default]
    Auto,
    /// The card hashes as gatun does.
    Rss,
    /// The card has a rule for each local address, each of which belongs to one worker.
    Flow,
    /// They come to any worker, which hands them over.
    Software,
}
words!(SteeringPolicy { Auto = "auto", Rss = "rss", Flow = "flow", Software = "software" });

/// The layer 4 protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, RFC 9293.
    Tcp,
    /// UDP, RFC 768.
    Udp,
}
words!(Protocol { Tcp = "tcp", Udp = "udp" });

/// How a service picks a real server for a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// Round robin; weights only tell zero from not zero.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Weighted least connection.
    Wlc,
}
words!(Scheduler { Rr = "rr", Wrr = "wrr", Wlc = "wlc" });

/// What happens to the TCP timestamp option of a SYN whose local port may still be in TIME_WAIT on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum SynTimestamps {
    /// Left as the client sent it.
    Keep,
    /// Taken out of a SYN only when its local port was in use a short while ago.
    #[default]
    Hot,
    /// Taken out of every SYN.
    Strip,
}
words!(SynTimestamps { Keep = "keep", Hot = "hot", Strip = "strip" });

/// What becomes of the TCP connections of a real server that was taken out of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OnServerRemoved {
    /// Both sides get a RST with the connection's next packet.
    #[default]
    Reset,
    /// Their packets are dropped until they time out, as LVS does.
    Silent,
}
words!(OnServerRemoved { Reset = "reset", Silent = "silent" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_reads_and_shows_the_same() {
        let mac: Mac = "02:0a:00:00:02:21".parse().expect("a MAC");
        assert_eq!(mac, Mac([2, 10, 0, 0, 2, 0x21]));
        assert_eq!(mac.to_string(), "02:0a:00:00:02:21");
    }

    #[test]
    fn a_mac_that_no_host_can_have_says_why() {
        for (text, error) in [
            ("", MacError::Malformed),
            ("02:00:00:00:02", MacError::Malformed),
            ("02:00:00:00:02:21:22", MacError::Malformed),
            ("02:00:00:00:02:+1", MacError::Malformed),
            ("02-00-00-00-02-21", MacError::Malformed),
            ("00:00:00:00:00:00", MacError::Zero),
            ("01:00:5e:00:00:01", MacError::Group),
            ("ff:ff:ff:ff:ff:ff", MacError::Group),
        ] {
            assert_eq!(text.parse::<Mac>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_hash_key_has_forty_bytes_no_more_no_less() {
        let text = "6d5a".repeat(20);
        let key: HashKey = text.parse().expect("a key");
        assert_eq!(&key.0[..3], &[0x6d, 0x5a, 0x6d]);
        assert_eq!(key.to_string(), text);
        assert_eq!(text[2..].parse::<HashKey>(), Err(HashKeyError));
        assert_eq!(format!("{text}00").parse::<HashKey>(), Err(HashKeyError));
        assert_eq!(text.replace('d', "x").parse::<HashKey>(), Err(HashKeyError));
    }
}
