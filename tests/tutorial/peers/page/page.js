// The tutorial's page: the newest picture in an <img>, the text in a card.
window.painted = 0;
document.addEventListener('DOMContentLoaded', () => {
  const image = document.getElementById('streamer-image');
  const text = document.getElementById('streamer-text');
  image.addEventListener('load', () => { window.painted += 1; });
  // `?server=` points the page at a server other than the one it came from.
  const server = new URLSearchParams(location.search).get('server') ?? location.origin;
  const socket = io.connect(`${server}/web`);
  socket.on('connect', () => console.log('connected'));
  socket.on('server2web', (message) => {
    image.src = message.image;
    text.innerHTML = message.text;
  });
});
