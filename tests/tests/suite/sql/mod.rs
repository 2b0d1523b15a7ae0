mod call;
mod catalog_rules;
mod context;
mod migrate;
mod one_transaction;
mod signatures;
mod two_doors;
mod visibility;
