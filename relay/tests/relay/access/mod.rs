//! Who may do what at a relay with users.

mod adoption;
mod house;
mod open;
mod people;
mod programs;
mod secrets;
mod table;
