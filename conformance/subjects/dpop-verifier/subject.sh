needs=(cargo)
fetch() { cargo fetch --quiet --locked; }
build() { cargo build --quiet --offline --locked --release; }
start() { exec target/release/subject; }
