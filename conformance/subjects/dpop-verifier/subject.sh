needs=(cargo)
fetch() { cargo fetch --quiet; }
build() { cargo build --quiet --offline --release; }
start() { exec target/release/subject; }
