needs=(java mvn)
fetch() { PORT=0 ISSUER=http://127.0.0.1:1 ORIGIN=http://127.0.0.1:1 mvn -q -B package; } # the plugin fetches while it builds
start() { exec java -Xmx512m -jar target/quarkus-app/quarkus-run.jar; }
