// Azurite, without its search for content that nobody refers to: with many thousand blobs and messages that takes it
// minutes at a time, during which it answers nobody. What is unused stays in memory instead.
const path = require("path");

const source = process.argv[2];
for (const service of ["blob", "queue"]) {
  require(path.join(source, service, "utils/constants.js")).DEFAULT_GC_INTERVAL_MS = 24 * 60 * 60 * 1000;
}
process.argv.splice(1, 2, path.join(source, "azurite.js"));
require(path.join(source, "azurite.js"));
