"""How the page looks: wide and narrow screens, and paper."""

STYLE = """
:root { color-scheme: light; }
body { font: 1rem/1.45 system-ui, sans-serif; color: #222; background: white;
  max-width: 76rem; margin: 0 auto; padding: 0.5rem 1rem 3rem; }
* { overflow-wrap: anywhere; box-sizing: border-box; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; break-after: avoid; }
h3 { margin: 2rem 0 0.5rem; break-after: avoid; }
img { max-width: 100%; height: auto; display: block; }
.facts { color: #555; }
li { margin: 0.2rem 0; }
nav { font-size: 0.9rem; }
nav.many { columns: 15rem; }
nav a { display: block; padding: 0.1rem 0; break-inside: avoid; }
.counts { font-size: 0.85rem; max-width: 44rem; }
.counts.many { columns: 21rem; column-gap: 2rem; max-width: none; }
.count { display: grid; grid-template-columns: 10rem 1fr; gap: 0.5rem;
  align-items: center; line-height: 1.2; break-inside: avoid; padding: 2px 0; }
.count b { font-weight: normal; overflow: hidden; display: -webkit-box;
  -webkit-box-orient: vertical; -webkit-line-clamp: 3; }
.bar { display: flex; align-items: center; }
.bar i { height: 0.8rem; flex: none; }
.bar span { white-space: nowrap; padding-left: 0.4rem; }
.key i { display: inline-block; width: 0.8rem; height: 0.8rem;
  margin: 0 0.3rem 0 1rem; }
i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0; }
th, td:first-child { white-space: nowrap; }
tr { border-bottom: 1px solid #ddd; }
.videos { display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); }
figure { margin: 0; break-inside: avoid; }
figcaption ul { margin: 0.3rem 0; padding-left: 1.2rem; font-size: 0.9rem; }
@media print {
  html { font-size: 10px; }
  body { font-size: 1rem; }
  .facts { break-after: avoid; }
}
@media screen and (max-width: 40rem) {
  thead { display: none; }
  td { display: block; padding: 0.1rem 0; }
  .count { grid-template-columns: 7rem 1fr; }
}
"""
