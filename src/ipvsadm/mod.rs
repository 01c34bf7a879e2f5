//! `ipvsadm` for gatun: the grammar, the output and the exit codes of ipvsadm 1.31, in front of the REST interface.
//!
//! [`run`] takes a command line apart ([`parse`]), has a [`Gateway`] carry it out, and prints what it says ([`print`]). It knows of
//! no connection: [`rest`] is the gateway of the program, the tests have one in memory, and hold both parts
//! against transcripts of the real program (`tests/ipvsadm`). What gatun can not do yet it says, with the exit code of a
//! refusal, 255.
//!
//! Two things differ from the real one on purpose: `-R` takes comments after `#`, and `-h` and `-v` are gatun's own.

mod address;
mod flags;
pub mod model;
pub mod names;
mod options;
mod order;
pub mod parse;
pub mod print;
pub mod rest;
mod rules;
#[cfg(test)]
mod tests;

use model::{Change, Command, Connection, Key, Listing, Service, Timeouts, What};
use names::Names;
use std::io::{BufRead, Write};

/// The end of a command: what is said on standard error, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Without the newline.
    pub message: String,
    /// 1, 2 or 255.
    pub code: u8,
    /// It ends `-R`, whatever lines follow.
    pub final_: bool,
}

impl Exit {
    /// The command line makes no sense.
    fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2, final_: true }
    }

    /// There is no command.
    fn try_help() -> Self {
        let message = "Try `ipvsadm -h' or 'ipvsadm --help' for more information.".to_owned();
        Self { message, code: 255, final_: true }
    }

    /// It went wrong; `-R` goes on.
    fn later(code: u8, message: impl Into<String>) -> Self {
        Self { message: message.into(), code, final_: false }
    }

    /// The gateway does not do it.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::later(255, message)
    }

    /// There is no gateway.
    pub fn unreachable(why: impl std::fmt::Display) -> Self {
        Self::usage(format!("Can't initialize ipvs: {why}"))
    }
}

/// Who has the services.
pub trait Gateway {
    /// All services or one, with counters since the start, or with those of a second.
    fn services(&mut self, which: Option<Key>, rates: bool) -> Result<Vec<Service>, Exit>;
    /// Every connection.
    fn connections(&mut self, each: &mut dyn FnMut(&Connection)) -> Result<(), Exit>;
    /// The timeouts.
    fn timeouts(&mut self) -> Result<Timeouts, Exit>;
    /// Carries out changes, in their order, and says what became of each; of none after one that ends everything.
    fn change(&mut self, changes: Vec<Change>) -> Vec<Result<(), Exit>>;
}

/// What a run of the program works with.
pub struct Bench<'a> {
    /// The gateway.
    pub gateway: &'a mut dyn Gateway,
    /// Names of hosts and ports.
    pub names: &'a dyn Names,
    /// Standard input.
    pub input: &'a mut dyn BufRead,
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
}

/// Runs a command line, without the name of the program, and gives the exit code. Without arguments it lists.
pub fn run(arguments: &[String], bench: &mut Bench<'_>) -> u8 {
    let list = ["-L".to_owned()];
    let arguments = if arguments.is_empty() { &list } else { arguments };
    match parse::parse(arguments, bench.names).and_then(|command| bench.run(command)) {
        Ok(code) => code,
        Err(exit) => bench.tell(&exit),
    }
}

impl Bench<'_> {
    fn run(&mut self, command: Command) -> Result<u8, Exit> {
        match command {
            Command::Change(change) => {
                let done = self.gateway.change(vec![change]);
                done.into_iter().collect::<Result<(), Exit>>()?;
            }
            Command::List(listing) => self.list(listing)?,
            Command::Save { numeric } => {
                let text = print::rules(self.gateway.services(None, false)?, numeric, self.names);
                self.print(&text);
            }
            Command::Restore => return self.restore(),
            Command::StartDaemon => {
                return Err(Exit::refused("gatun can not synchronise connections with another gateway yet"));
            }
            Command::StopDaemon => return Err(Exit::refused("No daemon is running")),
            Command::Help => self.print(HELP),
            Command::Version => {
                self.print(concat!("gatun-ipvsadm ", env!("GATUN_VERSION"), " (grammar of ipvsadm v1.31)\n"));
            }
        }
        Ok(0)
    }

    fn list(&mut self, listing: Listing) -> Result<(), Exit> {
        let numeric = listing.numeric;
        // A list that can not be had is 1, not 255.
        let unread = |exit: Exit| Exit { code: if exit.code == 255 { 1 } else { exit.code }, ..exit };
        match listing.what {
            What::Services(key, view) => {
                let list = self.gateway.services(key, view == model::View::Rate).map_err(unread)?;
                let text = print::services(list, key.is_some(), view, listing, self.names);
                self.print(&text);
            }
            What::Connections { engine } => {
                self.print(&print::connections_heading(engine));
                let (gateway, out, names) = (&mut *self.gateway, &mut *self.out, self.names);
                let mut each = |c: &Connection| written(out, &print::connection(c, numeric, names));
                gateway.connections(&mut each).map_err(unread)?;
            }
            What::Timeouts => {
                let text = print::timeouts(self.gateway.timeouts().map_err(unread)?);
                self.print(&text);
            }
            // There are none.
            What::Daemons => {}
        }
        Ok(())
    }

    /// Every line is a command line. Changes that follow each other go to the gateway together. What is wrong with a line is said,
    /// and the next one is looked at, unless it made no sense at all; the last line has the exit code.
    fn restore(&mut self) -> Result<u8, Exit> {
        let mut code = 0;
        let mut changes = Vec::new();
        let mut line = String::new();
        loop {
            line.clear();
            match self.input.read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) => return Err(Exit::later(255, format!("the rules can not be read: {e}"))),
            }
            let words = line.split('#').next().unwrap_or_default().split_whitespace();
            let mut words: Vec<String> = words.map(str::to_owned).collect();
            if words.first().is_some_and(|word| word == "ipvsadm") {
                words.remove(0);
            }
            if words.is_empty() {
                continue;
            }
            let command = match parse::parse(&words, self.names) {
                Ok(Command::Change(change)) => {
                    changes.push(change);
                    continue;
                }
                Ok(Command::Restore) => Err(Exit::try_help()),
                other => other,
            };
            self.change(&mut changes);
            code = match command.and_then(|command| self.run(command)) {
                Ok(code) => code,
                Err(exit) if exit.final_ => return Err(exit),
                Err(exit) => self.tell(&exit),
            };
        }
        Ok(self.change(&mut changes).unwrap_or(code))
    }

    /// The exit code of the last change, if there is any.
    fn change(&mut self, changes: &mut Vec<Change>) -> Option<u8> {
        let done = if changes.is_empty() { Vec::new() } else { self.gateway.change(std::mem::take(changes)) };
        done.into_iter().fold(None, |_, done| Some(done.err().map_or(0, |exit| self.tell(&exit))))
    }

    fn print(&mut self, text: &str) {
        written(self.out, text);
    }

    fn tell(&mut self, exit: &Exit) -> u8 {
        written(self.err, &format!("{}\n", exit.message));
        exit.code
    }
}

/// A reader that went away, `head` for one, is no error.
fn written(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(text.as_bytes());
}

const HELP: &str = "\
ipvsadm for gatun: services and real servers, in the words of ipvsadm 1.31

  ipvsadm -A|-E SERVICE [-s SCHEDULER] [--laddr POOL]    add or edit a service
  ipvsadm -D SERVICE                                     delete it
  ipvsadm -a|-e SERVICE -r SERVER --fullnat [-w WEIGHT]  add or edit a real server
  ipvsadm -d SERVICE -r SERVER                           delete it
  ipvsadm -L [SERVICE] [-n] [--stats | --rate | --thresholds | --persistent-conn | --tun-info] [--exact] [--nosort]
  ipvsadm -L -c [-n]                                     list connections
  ipvsadm -L --timeout                                   show the timeouts
  ipvsadm --set TCP TCPFIN UDP                           set them, in seconds; 0 leaves one as it is
  ipvsadm -Z [SERVICE]                                   set counters to zero
  ipvsadm -C                                             delete every service
  ipvsadm -S [-n]                                        print what there is, as input for -R
  ipvsadm -R                                             carry out what stands on standard input, a command a line

  SERVICE    -t or -u, with HOST:PORT, as in -t 198.18.1.100:80 or -t [2001:db8::1]:80
  SERVER     HOST[:PORT]; without a port the service's
  SCHEDULER  rr, wrr or wlc, which is the default
  --fullnat  the only way to a server that gatun has so far; listed as FullNat
  --laddr    the pool of local addresses; can be left out when the gateway has one pool

All other options of ipvsadm 1.31 are understood; what gatun can not do yet is refused with a sentence.

The gateway is asked on the socket $GATUN_SOCKET, /run/gatun/gatun.sock without it; or at $GATUN_URL, with the token in the
file $GATUN_TOKEN_FILE, and the authority of its certificate in $GATUN_CA.

Exit codes: 0 done; 1 a list can not be had; 2 the command line is wrong, or no gateway answers; 255 the gateway refused.
";
