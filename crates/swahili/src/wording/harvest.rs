//! Harvests: how much of what was harvested, why, and what it costs.

use super::phrase::{finite, join, sentence};
use crate::random::Choices;
use crate::scene::{Harvest, Matter};
use crate::verb::{Subject, Tense};

impl Harvest {
    /// The harvest in one or two sentences.
    pub(crate) fn describe(&self, choices: Choices) -> String {
        let (crop, season, cause) = (self.crop.0, self.season, self.cause());
        let town = self.town.phrase();
        let of_crop = format!("magunia {} ya {crop}", self.quantity);
        let price = format!("shilingi {} kwa kilo", self.price);
        let trend = if self.good { "imeshuka hadi" } else { "imepanda hadi" };
        let only = if self.good { "" } else { "tu" };
        let sold = || join(&["bei ya", crop, &town, trend, &price]);
        let shape = choices.below("shape", 4);
        let body = match (self.matter, shape) {
            (Matter::Price, 0) => join(&[season, &sold(), "kwa sababu", cause]),
            (Matter::Price, 1) => join(&["ripoti ya kilimo inaonyesha kuwa", &sold(), season, "kwa sababu", cause]),
            (Matter::Price, 2) => join(&["kwa kuwa", &format!("{cause},"), &sold(), season]),
            (Matter::Price, _) => join(&["wafanyabiashara wanasema kwamba", season, &sold()]),
            (Matter::Yield, 0) => join(&["wakulima", &town, "wamevuna", &of_crop, only, season, "kwa sababu", cause]),
            (Matter::Yield, 1) => {
                join(&["kwa kuwa", &format!("{cause},"), "wakulima", &town, "wamevuna", &of_crop, only, season])
            }
            (Matter::Yield, 2) => {
                let change = if self.good { "yameongezeka hadi magunia" } else { "yamepungua hadi magunia" };
                join(&[season, "mavuno ya", crop, &town, change, self.quantity, "kwa sababu", cause])
            }
            (Matter::Yield, _) => {
                let year = if self.good { "na wengi wanafurahia mavuno hayo" } else { "na wengi wana wasiwasi" };
                join(&[&of_crop, only, "yamevunwa na wakulima", &town, &format!("{season},"), year])
            }
            (Matter::Both, 0 | 1) => format!(
                "{} {}",
                sentence(&join(&["wakulima", &town, "wamevuna", &of_crop, only, season])),
                sentence(&join(&["bei", trend, &price]))
            ),
            (Matter::Both, _) => {
                let chair = "mwenyekiti wa ushirika anasema kwamba wakulima";
                join(&[chair, &town, "wamevuna", &of_crop, only, &format!("{season},"), "na bei", trend, &price])
            }
        };
        sentence(&body)
    }

    /// What follows from it.
    pub(crate) fn conclude(&self, choices: Choices) -> String {
        let (crop, class) = *self.crop;
        let season = self.season;
        let town = self.town.phrase();
        let shape = choices.below("shape", 4);
        let price = match self.matter {
            Matter::Yield => false,
            Matter::Price => true,
            Matter::Both => choices.chance("price", 50),
        };
        let body = match (price, shape) {
            (true, 0) => join(&["bei ya", crop, if self.good { "imepungua" } else { "imeongezeka" }, &town]),
            (true, 1) => join(&[crop, if self.good { "ni nafuu" } else { "ni ghali" }, &town, season]),
            (true, 2) => join(&["gharama ya", crop, if self.good { "iko chini" } else { "iko juu" }, season]),
            (true, _) => join(&["kununua", crop, if self.good { "ni rahisi zaidi" } else { "ni ghali zaidi" }, &town]),
            (false, 0) => join(&["wakulima wa", self.town.name, "wamevuna", crop, season]),
            (false, 1) => join(&["mavuno ya", crop, if self.good { "ni mazuri" } else { "si mazuri" }, &town]),
            (false, 2) => join(&["wakulima wamepata magunia", self.quantity, "ya", crop]),
            (false, _) => {
                let harvested = finite("vunwa", Subject::Third(class), Tense::Perfect, false, None);
                join(&[crop, &harvested, &town, season])
            }
        };
        sentence(&body)
    }
}
