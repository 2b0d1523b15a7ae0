mod credentials;
mod privacy;
mod reseal;
