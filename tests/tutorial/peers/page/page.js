// The tutorial's page: the newest picture in an <img>, the text in a card.
window.painted = 0;
document.addEventListener('DOMContentLoaded', () => {
  const image = document.getElementById('streamer-image');
  const text = document.getElementById('streamer-text');
  image.addEventListener('load', () => { window.painted += 1; });
  const socket = io.connect(`${location.origin}/web`);
  socket.on('connect', () => console.log('connected'));
  socket.on('server2web', (message) => {
    image.src = message.image;
    text.innerHTML = message.text;
  });
});
