//! Commands that do not relay: users, tokens and agents, and what packages are made with.
//!
//! They change the database beside a relay that may be running; it notices within a second.

mod table;

use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use cv_access::{AccessError, Cameras, Password, Role, Store, now_us};
use cv_relay::cli::{
    AgentsAction, Args, Command, DataArgs, PROGRAM, PasswordArgs, RoleName, ScopeName, TokenAction,
    UserAction,
};

use table::{Table, date};

/// Who changes things here, in the audit log.
const ACTOR: &str = "command line";

/// Where the package keeps its data.
const SERVICE_FOLDER: &str = "/var/lib/cv-relay";

/// Carries out `command`.
pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::User { data, action } => user(&mut open(data)?, action),
        Command::Token { data, action } => token(&mut open(data)?, action),
        Command::Agents { data, action } => agents(&mut open(data)?, action),
        Command::Archive(command) => command.run(),
        Command::Completions { shell } => {
            let mut described = PROGRAM.command::<Args>();
            clap_complete::generate(*shell, &mut described, "cv-relay", &mut io::stdout());
            Ok(())
        }
        Command::Man => {
            let described = PROGRAM.command::<Args>();
            Ok(clap_mangen::Man::new(described).render(&mut io::stdout())?)
        }
    }
}

fn open(data: &DataArgs) -> anyhow::Result<Store> {
    let service = || {
        let folder = Path::new(SERVICE_FOLDER);
        folder.exists().then(|| folder.to_owned())
    };
    let folder: Option<PathBuf> = data
        .data_dir
        .clone()
        .or_else(cv_service::service_state_dir)
        .or_else(service)
        .or_else(|| cv_service::state_dir("cv-relay"));
    let folder = folder.context("where are the users kept? Name the folder with --data-dir")?;
    Store::open(&folder).map_err(|err| match err {
        AccessError::Folder { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!(
                "{} is not yours to change: run this with sudo, or name another folder with --data-dir",
                folder.display()
            )
        }
        err => err.into(),
    })
}

fn user(store: &mut Store, action: &UserAction) -> anyhow::Result<()> {
    match action {
        UserAction::Add {
            name,
            admin,
            camera,
            password,
        } => {
            cv_access::check_name(name)?;
            let role = if *admin { Role::Admin } else { Role::Viewer };
            let password = new_password(*password)?.hash()?;
            store.add_user(ACTOR, name, &password, role, &cameras(camera))?;
            println!("{name} may sign in as {}", role.as_str());
        }
        UserAction::List => {
            let mut table = Table::new(["name", "role", "cameras", "since"]);
            let mut users: Vec<_> = store.snapshot()?.users.into_values().collect();
            users.sort_by_key(|user| user.name.to_lowercase());
            for user in users {
                let cameras = match user.cameras {
                    Cameras::All => "all".to_owned(),
                    Cameras::Named(names) => names.into_iter().collect::<Vec<_>>().join(", "),
                };
                let role = user.role.as_str().to_owned();
                table.row([user.name, role, cameras, date(user.created_us)]);
            }
            table.print();
        }
        UserAction::Remove { name } => {
            store.remove_user(ACTOR, name)?;
            println!("{name} is removed, and signed out everywhere");
        }
        UserAction::Password { name, password } => {
            if store.password_of(name)?.is_none() {
                bail!("there is no user {name:?}");
            }
            let password = new_password(*password)?.hash()?;
            store.set_password(ACTOR, name, &password, None)?;
            println!("{name} has a new password, and is signed out everywhere");
        }
        UserAction::Role { name, role, camera } => {
            let role = match role {
                RoleName::Admin => Role::Admin,
                RoleName::Viewer => Role::Viewer,
            };
            if role == Role::Admin && !camera.is_empty() {
                bail!("an administrator sees every camera; leave --camera out");
            }
            store.set_rights(ACTOR, name, role, &cameras(camera))?;
            println!("{name} is {} now", role.as_str());
        }
    }
    Ok(())
}

fn cameras(names: &[String]) -> Cameras {
    match names {
        [] => Cameras::All,
        names => Cameras::Named(names.iter().cloned().collect()),
    }
}

fn new_password(how: PasswordArgs) -> anyhow::Result<Password> {
    if how.password_stdin {
        let mut text = String::new();
        io::stdin()
            .take(4096)
            .read_to_string(&mut text)
            .context("cannot read the password from standard input")?;
        return Ok(Password::new(text.trim_end_matches(['\r', '\n']))?);
    }
    if !io::stdin().is_terminal() {
        bail!("there is no terminal to ask for the password on; use --password-stdin");
    }
    let password = Password::new(rpassword::prompt_password("Password: ")?)?;
    let again = Password::new(rpassword::prompt_password("Again: ")?)?;
    if password != again {
        bail!("the two passwords differ");
    }
    Ok(password)
}

fn token(store: &mut Store, action: &TokenAction) -> anyhow::Result<()> {
    match action {
        TokenAction::Create { name, scope, days } => {
            let scope = match scope {
                ScopeName::View => Role::Viewer,
                ScopeName::Admin => Role::Admin,
            };
            let expires = days.map(|days| now_us() + i64::from(days) * 24 * 3_600_000_000);
            let token = store.add_token(ACTOR, name, scope, expires)?;
            eprintln!("the token, which is shown only now:");
            println!("{}", token.expose());
        }
        TokenAction::List => {
            let mut table = Table::new(["name", "scope", "made", "by", "expires"]);
            let mut tokens: Vec<_> = store.snapshot()?.tokens.into_values().collect();
            tokens.sort_by_key(|token| token.name.to_lowercase());
            for token in tokens {
                let scope = match token.scope {
                    Role::Viewer => "view",
                    Role::Admin => "admin",
                };
                let expires = token.expires_us.map_or_else(|| "never".to_owned(), date);
                let made = date(token.created_us);
                table.row([
                    token.name,
                    scope.to_owned(),
                    made,
                    token.created_by,
                    expires,
                ]);
            }
            table.print();
        }
        TokenAction::Revoke { name } => {
            store.revoke_token(ACTOR, name)?;
            println!("the token {name} is revoked");
        }
    }
    Ok(())
}

fn agents(store: &mut Store, action: &AgentsAction) -> anyhow::Result<()> {
    match action {
        AgentsAction::List => {
            let snapshot = store.snapshot()?;
            let mut table = Table::new(["name", "state", "code", "from", "since"]);
            let mut waiting: Vec<_> = snapshot.waiting.into_values().collect();
            waiting.sort_by_key(|agent| agent.since_us);
            for agent in waiting {
                let state = "wants to join".to_owned();
                let since = date(agent.since_us);
                table.row([agent.name, state, agent.code, agent.address, since]);
            }
            let mut agents: Vec<_> = snapshot.agents.into_values().collect();
            agents.sort_by(|a, b| a.name.cmp(&b.name));
            for agent in agents {
                let (state, since) = match agent.revoked_us {
                    None => (
                        format!("accepted by {}", agent.accepted_by),
                        agent.accepted_us,
                    ),
                    Some(revoked) => ("revoked".to_owned(), revoked),
                };
                let nothing = String::new();
                table.row([agent.name, state, nothing.clone(), nothing, date(since)]);
            }
            table.print();
        }
        AgentsAction::Accept { name, code } => {
            store.accept(ACTOR, name, code.as_deref())?;
            println!("{name} is accepted");
        }
        AgentsAction::Refuse { code } => {
            store.turn_away(ACTOR, code)?;
            println!("the agent with code {code} is turned away");
        }
        AgentsAction::Revoke { name } => {
            store.revoke_agent(ACTOR, name)?;
            println!("{name} is revoked");
        }
        AgentsAction::Remove { name } => {
            store.remove_agent(ACTOR, name)?;
            println!("{name} is forgotten; the name is free");
        }
    }
    Ok(())
}
