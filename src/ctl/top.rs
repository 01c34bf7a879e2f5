//! `gatunctl top`: services by rate, workers and drops on the whole screen.

use super::stats::{counted, rate};
use super::table::{percent, short};
use super::{Ctl, Done, Trouble};
use crate::api::types::{Item, Lcore, Stats};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Row, Table};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
#[command(
    after_help = "Keys: p, c, b sort services by packets, connections, bytes a second; 1, 2, 3 rates over 1, 10, 60 s; q ends."
)]
pub(super) struct Args {
    /// Look again after so many seconds.
    #[arg(long, default_value_t = 1)]
    every: u64,
}

/// What is on the screen.
struct Screen {
    stats: Item<Stats>,
    lcores: Vec<Lcore>,
    sort: Sort,
    over: u8,
}

#[derive(Clone, Copy)]
enum Sort {
    Packets,
    Connections,
    Bytes,
}

pub(super) fn run(ctl: &Ctl, args: &Args) -> Done {
    let look = || -> Result<(Item<Stats>, Vec<Lcore>), Trouble> {
        Ok((
            ctl.client.get("/api/v1/stats", &[("reals", "false".to_owned())])?,
            ctl.client.list("/api/v1/lcores", &[], usize::MAX)?,
        ))
    };
    let every = Duration::from_secs(args.every.max(1));
    // Before the screen is taken, so that who has no gateway reads why.
    let (stats, lcores) = look()?;
    let mut screen = Screen { stats, lcores, sort: Sort::Packets, over: 1 };
    let mut terminal = ratatui::try_init().map_err(Trouble::system("the terminal"))?;
    let mut end = || -> Done {
        let mut next = Instant::now() + every;
        loop {
            terminal.draw(|frame| draw(frame, &screen)).map_err(Trouble::system("the terminal"))?;
            let left = next.saturating_duration_since(Instant::now());
            if event::poll(left).map_err(Trouble::system("the terminal"))? {
                let event = event::read().map_err(Trouble::system("the terminal"))?;
                if !pressed(&mut screen, &event) {
                    return Ok(());
                }
            } else {
                (screen.stats, screen.lcores) = look()?;
                next = Instant::now() + every;
            }
        }
    };
    let end = end();
    ratatui::restore();
    end
}

/// False: it is enough.
fn pressed(screen: &mut Screen, event: &Event) -> bool {
    let Event::Key(key) = event else { return true };
    if key.kind == KeyEventKind::Release {
        return true;
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Char('p') => screen.sort = Sort::Packets,
        KeyCode::Char('c') => screen.sort = Sort::Connections,
        KeyCode::Char('b') => screen.sort = Sort::Bytes,
        KeyCode::Char('1') => screen.over = 1,
        KeyCode::Char('2') => screen.over = 10,
        KeyCode::Char('3') => screen.over = 60,
        _ => {}
    }
    true
}

fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let lcores = u16::try_from(screen.lcores.len()).unwrap_or(u16::MAX).min(8) + 2;
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(4),
        Constraint::Length(lcores),
        Constraint::Length(8),
    ]);
    let [head, services, workers, drops] = areas.areas(frame.area());
    let stats = &screen.stats.item;
    let line = format!(
        "gatun  {}  generation {}  rates over {} s  p c b: sort  1 2 3: 1, 10, 60 s  q: end",
        stats.at, screen.stats.generation, screen.over
    );
    frame.render_widget(Line::from(line), head);
    frame.render_widget(services_table(screen), services);
    frame.render_widget(workers_table(screen), workers);
    frame.render_widget(drops_table(screen), drops);
}

fn services_table(screen: &Screen) -> Table<'static> {
    let mut list: Vec<_> = screen.stats.item.services.iter().map(|s| (s, rate(&s.rates, screen.over))).collect();
    list.sort_by(|(_, a), (_, b)| {
        let key = |r: &crate::api::types::Rate| match screen.sort {
            Sort::Packets => r.in_pkts + r.out_pkts,
            Sort::Connections => r.conns,
            Sort::Bytes => r.in_bytes + r.out_bytes,
        };
        key(b).total_cmp(&key(a))
    });
    let rows = list.into_iter().map(|(s, r)| {
        let numbers = [r.conns, r.in_pkts, r.out_pkts, r.in_bytes, r.out_bytes].map(short);
        let mut cells =
            vec![s.id.clone(), s.servers.to_string(), s.totals.active.to_string(), s.totals.inactive.to_string()];
        cells.extend(numbers);
        cells
    });
    let header = ["service", "reals", "active", "inactive", "conn/s", "in pkt/s", "out pkt/s", "in B/s", "out B/s"];
    framed("services", &header, rows, Constraint::Min(24))
}

fn workers_table(screen: &Screen) -> Table<'static> {
    let rows = screen.lcores.iter().map(|l| {
        let stats = screen.stats.item.lcores.iter().find(|s| s.id == l.id);
        let r = stats.map(|s| rate(&s.rates, screen.over)).unwrap_or_default();
        let mut cells = vec![format!("{} on CPU {}", l.id, l.cpu), percent(l.busy), format!("{:.1}", l.burst_fill)];
        cells.extend([l.connections, l.ports_in_use].map(|n| n.to_string()));
        cells.extend([r.in_pkts, r.out_pkts].map(short));
        cells.push(percent(l.redirected));
        cells
    });
    let header = ["lcore", "busy", "burst", "connections", "ports used", "rx pkt/s", "tx pkt/s", "handed over"];
    framed("workers", &header, rows, Constraint::Min(14))
}

fn drops_table(screen: &Screen) -> Table<'static> {
    let mut list: Vec<_> = screen.stats.item.drops.iter().filter(|d| d.counted.count > 0).collect();
    list.sort_by(|a, b| {
        let key = |d: &crate::api::types::Reason| (counted(&d.counted, screen.over), d.counted.count as f64);
        let ((ra, na), (rb, nb)) = (key(a), key(b));
        rb.total_cmp(&ra).then(nb.total_cmp(&na))
    });
    let rows = list.into_iter().map(|d| {
        vec![d.reason.clone(), short(counted(&d.counted, screen.over)), d.counted.count.to_string(), d.help.clone()]
    });
    let widths = [Constraint::Min(22), Constraint::Length(8), Constraint::Length(12), Constraint::Percentage(60)];
    framed("drops", &["reason", "a second", "ever", ""], rows, Constraint::Min(22)).widths(widths)
}

fn framed(
    title: &'static str,
    header: &[&'static str],
    rows: impl Iterator<Item = Vec<String>>,
    first: Constraint,
) -> Table<'static> {
    let right = |n: usize, text: String| {
        let line = Line::from(text);
        Cell::from(if n == 0 || title == "drops" { line } else { line.right_aligned() })
    };
    let rows =
        rows.map(|cells| Row::new(cells.into_iter().enumerate().map(|(n, text)| right(n, text)).collect::<Vec<_>>()));
    let head = header.iter().enumerate().map(|(n, text)| right(n, (*text).to_owned()));
    let head = Row::new(head.collect::<Vec<_>>()).style(Style::new().add_modifier(Modifier::BOLD));
    let widths = header.iter().enumerate().map(|(n, _)| if n == 0 { first } else { Constraint::Length(11) });
    Table::new(rows, widths.collect::<Vec<_>>()).header(head).block(Block::new().borders(Borders::TOP).title(title))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{Counted, Protocol, Rate, Rates, Reason, ServiceStats, Totals};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn service(id: &str, pkts: f64, conns: f64) -> ServiceStats {
        let r = Rate { conns, in_pkts: pkts, ..Rate::default() };
        ServiceStats {
            id: id.to_owned(),
            name: id.to_owned(),
            protocol: Protocol::Tcp,
            address: "[2001:db8::1]:80".parse().unwrap(),
            totals: Totals { active: 12, ..Totals::default() },
            rates: Rates { s1: r, s10: r, s60: r },
            servers: 0,
            reals: Vec::new(),
        }
    }

    fn screen() -> Screen {
        let drop = |reason: &str, count, s1| Reason {
            reason: reason.to_owned(),
            help: "why".to_owned(),
            counted: Counted { count, s1, ..Counted::default() },
        };
        let stats = Stats {
            at: "2026-11-21T12:00:00Z".to_owned(),
            services: vec![service("tcp-few", 10.0, 900.0), service("tcp-many", 5_000_000.0, 2.0)],
            drops: vec![drop("bad_checksum", 0, 0.0), drop("ttl_expired", 7, 0.0), drop("neighbor_pending", 3, 2.0)],
            ..Stats::default()
        };
        Screen { stats: Item { generation: 9, item: stats }, lcores: Vec::new(), sort: Sort::Packets, over: 1 }
    }

    fn text(screen: &Screen) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(130, 24)).unwrap();
        terminal.draw(|frame| draw(frame, screen)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..130).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..24).map(line).collect()
    }

    fn at(lines: &[String], word: &str) -> Option<usize> {
        lines.iter().position(|line| line.contains(word))
    }

    #[test]
    fn services_and_drops_stand_by_rate_and_keys_change_the_order() {
        let mut screen = screen();
        let lines = text(&screen);
        assert!(at(&lines, "tcp-many") < at(&lines, "tcp-few"), "{lines:#?}");
        assert!(at(&lines, "neighbor_pending") < at(&lines, "ttl_expired") && at(&lines, "bad_checksum").is_none());
        assert!(lines[0].contains("generation 9") && lines[at(&lines, "tcp-many").unwrap()].contains("5.0M"));
        let key = |c| Event::Key(KeyCode::Char(c).into());
        assert!(pressed(&mut screen, &key('c')));
        let lines = text(&screen);
        assert!(at(&lines, "tcp-few") < at(&lines, "tcp-many"), "{lines:#?}");
        assert!(pressed(&mut screen, &key('3')) && screen.over == 60);
        assert!(!pressed(&mut screen, &key('q')));
    }
}
